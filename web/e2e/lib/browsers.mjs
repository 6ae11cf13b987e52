// Two browsers behind one small interface: Chromium by Playwright, Firefox by WebDriver BiDi.

import { mkdirSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { chromium } from "playwright-core";
import puppeteer from "puppeteer-core";

/** What a page has for what it is asked, milliseconds; `PATIENCE_MS` for a machine that has much else to do. */
const PATIENCE_MS = Number(process.env.PATIENCE_MS ?? 15_000);
const out = fileURLToPath(new URL("../out/", import.meta.url));
mkdirSync(out, { recursive: true });

/** Starts Chromium. */
export async function startChromium({ args = [] } = {}) {
  const browser = await chromium.launch({
    executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
    // A graphics processor that is computed takes a third of all processor time.
    args: ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update", "--disable-sync", ...args],
  });
  return {
    name: "chromium",
    /** A device: cookies, storage and cache of its own. */
    async device(options = {}) {
      const context = await browser.newContext({ viewport: { width: 1280, height: 800 }, locale: "en-GB", ...options });
      return {
        context,
        open: async (url) => new PlaywrightTab(await context.newPage()).goto(url),
        close: () => context.close(),
      };
    },
    close: () => browser.close(),
  };
}

/** Firefox ESR: a process for each device, because of two tabs in one window only one is visible. */
export async function startFirefox({ acceptInsecureCerts = false } = {}) {
  const running = new Set();
  return {
    name: "firefox",
    async device() {
      const browser = await puppeteer.launch({
        browser: "firefox",
        executablePath: process.env.FIREFOX ?? "/usr/bin/firefox-esr",
        headless: true,
        acceptInsecureCerts,
        extraPrefsFirefox: { "intl.accept_languages": "en-GB" },
      });
      running.add(browser);
      const close = async () => {
        running.delete(browser);
        await browser.close();
      };
      return {
        open: async (url) => {
          const page = await browser.newPage();
          await page.setViewport({ width: 1280, height: 800 });
          return new PuppeteerTab(page).goto(url);
        },
        close,
      };
    },
    close: async () => {
      for (const browser of running) await browser.close();
    },
  };
}

/** What the tests do with a page, whichever browser it is in. `id` is a data-testid. */
class Tab {
  /** What the page complained about. */
  faults = [];

  constructor(page) {
    this.page = page;
    page.on("pageerror", (error) => this.faults.push(String(error)));
    page.on("console", (message) => message.type() === "error" && this.faults.push(message.text()));
  }

  async goto(url) {
    await this.page.goto(url);
    return this;
  }

  async reload() {
    await this.page.reload();
  }

  async click(id, more = "") {
    await this.see(id, more);
    await this.page.click(selector(id, more));
  }

  async press(key) {
    await this.page.keyboard.press(key);
  }

  /** Waits for an element. */
  async see(id, more = "", timeout = PATIENCE_MS) {
    await this.page.waitForSelector(selector(id, more), { timeout });
  }

  async attribute(id, name, more = "") {
    return this.run(([s, n]) => document.querySelector(s)?.getAttribute(n) ?? null, selector(id, more), name);
  }

  /** Types a message and sends it by Enter. */
  async say(text) {
    await this.fill("composer", text);
    await this.press("Enter");
  }

  async screenshot(name) {
    await this.page.screenshot({ path: `${out}${name}.png` });
  }

  async close() {
    await this.page.close();
  }
}

class PlaywrightTab extends Tab {
  async fill(id, text) {
    await this.page.fill(selector(id), text);
  }

  /** Runs a function in the page; its arguments come as one array. */
  run(work, ...args) {
    return this.page.evaluate(work, args);
  }

  /**
   * Waits until a function in the page gives something true. Playwright takes the promise of an
   * asynchronous one for that, so such a one is asked from here.
   */
  async until(work, arg, timeout = PATIENCE_MS) {
    if (work.constructor.name !== "AsyncFunction") return void (await this.page.waitForFunction(work, arg, { timeout, polling: 25 }));
    const deadline = Date.now() + timeout;
    while (!(await this.page.evaluate(work, arg))) {
      if (Date.now() > deadline) throw new Error(`does not hold after ${timeout} ms: ${work}`);
      await new Promise((resolve) => setTimeout(resolve, 25));
    }
  }
}

class PuppeteerTab extends Tab {
  /** As a paste over all that stands there: key by key a message takes some twenty commands. */
  async fill(id, text) {
    await this.run(
      ([field, wanted]) => {
        const box = document.querySelector(field);
        box.focus();
        box.select();
        document.execCommand(wanted ? "insertText" : "delete", false, wanted);
      },
      selector(id),
      text,
    );
  }

  run(work, ...args) {
    return this.page.evaluate(work, args);
  }

  async until(work, arg, timeout = PATIENCE_MS) {
    await this.page.waitForFunction(work, { timeout, polling: 25 }, arg);
  }
}

/** A CSS selector for a data-testid, or a whole selector that begins with one of `[#.`. */
export function selector(id, more = "") {
  return /^[[#.]/.test(id) ? `${id}${more}` : `[data-testid="${id}"]${more}`;
}
