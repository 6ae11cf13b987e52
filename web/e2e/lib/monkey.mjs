// A monkey at the page: what it does follows from a seed. It has two tabs of one device, and
// somebody at the other end. It types, sends, walks about, reloads, closes, goes offline, kills the
// server, turns the clock, clears the storage. Whatever it does, no text is lost or doubled, the
// order is that of writing, the focus stays with whoever types, and no error is thrown.

import assert from "node:assert/strict";
import { dice } from "./dice.mjs";
import { history, newName, register, settled, toNewest } from "./people.mjs";
import { connect, textsOf, until } from "./sdk.mjs";

/** So often each is done, of 100. */
const WEIGHTS = { write: 31, half: 12, hear: 20, walk: 12, settings: 5, reload: 3, close: 3, offline: 3, kill: 2, clock: 3, clear: 2, resize: 4 };
/** Before anything of the page runs: a clock that can be turned, and a watch on the focus. */
const PREPARE = () => {
  globalThis.ahead = 0;
  const Real = Date;
  globalThis.Date = class extends Real {
    constructor(...args) {
      if (args.length === 0) super(Real.now() + globalThis.ahead);
      else super(...args);
    }
    static now() {
      return Real.now() + globalThis.ahead;
    }
  };
  globalThis.writing = false;
  globalThis.lostFocus = 0;
  addEventListener("focusout", ({ target, relatedTarget }) => {
    // Tabs in a hidden window keep their focus; here nobody looks away while they type.
    if (globalThis.writing && relatedTarget === null && document.hasFocus()) globalThis.lostFocus++;
  });
};

/** Whether the page lets a person go, with all that they have. */
const leavable = async () => {
  const leaving = new Event("beforeunload", { cancelable: true });
  dispatchEvent(leaving);
  return !leaving.defaultPrevented && localStorage.getItem("gogochat.signed-in") !== null && (await indexedDB.databases()).length > 0;
};

/** Lets the monkey do so many things; how many messages went each way, and what each kind of action took. */
export async function monkey({ server, browser }, seed, actions) {
  const random = dice(seed);
  const device = await browser.device();
  await device.context.addInitScript(PREPARE);
  const bob = await connect(server.page, newName("bob"), "Bob");
  const annName = newName("ann");
  const opened = [];
  let down = false;
  let offline = false;
  let nth = 0;
  const open = async (url) => {
    const tab = await device.open(url);
    opened.push(tab);
    return tab;
  };
  /** What the browser says of a server that is not there is no fault of the page's. */
  const faults = () => opened.flatMap((tab) => tab.faults).filter((fault) => !/net::ERR|Failed to load resource|WebSocket connection|Failed to fetch/.test(fault));
  try {
    const tabs = [await open(server.page)];
    await register(tabs[0], annName, "Ann");
    const [person] = await bob.findPeople(annName);
    await bob.requestContact(person, "hello");
    await tabs[0].click("nav-contacts");
    await tabs[0].click("accept");
    await tabs[0].see("composer");
    await until(() => bob.conversations.get().length === 1);
    const id = bob.conversations.get()[0].id;
    const chatUrl = `${server.page}/#/chats/${id}`;
    /** What was announced at the other end. */
    const announced = [];
    bob.onMessage((_, event) => announced.push(event.body.text));
    tabs.push(await open(chatUrl));
    await tabs[1].see("composer");
    const [written, heard] = [[], []];
    /** What stands in the composer and was not sent. */
    let draft = "";
    /**
     * Left behind by the tab in which was written last. Nobody goes from one tab to another faster
     * than the browser tells the other what was written; where this is, all of that is.
     */
    let mark = "";

    const any = () => tabs[random(tabs.length)];
    const walk = (tab, hash) =>
      tab.run(([to]) => {
        location.hash = to;
      }, hash);
    /** Into the conversation, where the draft is there whichever tab it was begun in; `write` puts the cursor behind it. */
    const chat = async (tab, write = false) => {
      const found = await tab.run(
        async ([hash, wanted, mark, write, patience]) => {
          if (!document.querySelector('[data-testid="composer"]')) location.hash = hash;
          const until = performance.now() + patience;
          for (;;) {
            const area = document.querySelector('[data-testid="composer"]');
            const told = !mark || localStorage.getItem("monkey") === mark;
            if ((told && area?.value === wanted) || performance.now() > until) {
              if (write) {
                area?.focus();
                area?.setSelectionRange(area.value.length, area.value.length);
                globalThis.writing = true;
              }
              return area?.value;
            }
            await new Promise((resolve) => setTimeout(resolve, 5));
          }
        },
        `#/chats/${id}`,
        draft,
        mark,
        write,
        20_000,
      );
      assert.equal(found, draft, "the draft is not what was written");
    };
    const type = async (tab, text, enter = false) => {
      await chat(tab, true);
      await tab.page.keyboard.type(text, { delay: random(3) * 5 });
      const { focused, lost, value } = await tab.run(() => {
        globalThis.writing = false;
        return { focused: document.activeElement?.dataset.testid, lost: globalThis.lostFocus, value: document.querySelector('[data-testid="composer"]')?.value };
      });
      assert.equal(focused, "composer", "the focus went away from who types");
      assert.equal(lost, 0, "the focus was away for a moment while somebody typed");
      draft += text;
      assert.equal(value, draft, "a text was lost while it was typed");
      if (enter) {
        written.push(draft);
        draft = "";
        await tab.press("Enter");
      }
      mark = text;
      await tab.run(([written]) => localStorage.setItem("monkey", written), mark);
    };
    /**
     * The page comes from the server: without one there is nothing to load. Whoever leaves in the
     * moment in which the browser has thrown everything away has nothing; a little later it is kept
     * again, and once the page would let one go without a question, all of it is.
     */
    const loadable = async () => {
      if (down || offline) return false;
      for (const tab of tabs) await tab.until(leavable, undefined, 60_000);
      return true;
    };
    /** All of the page is there: what is cut off in the middle of loading has nothing but a button to reload. */
    const loaded = (tab) => tab.see(".shell", ":not(.skeleton)", 30_000);
    const acts = {
      write: () => type(any(), `a${++nth}`, true),
      half: () => type(any(), `h${++nth} `),
      hear: () => {
        heard.push(`b${++nth}`);
        bob.type(id, true);
        bob.send(id, heard.at(-1));
      },
      walk: () => walk(any(), ["#/chats", `#/contacts/${id}`, "#/settings", `#/chats/${id}`][random(4)]),
      settings: async () => {
        const tab = any();
        await walk(tab, "#/settings");
        await tab.page.locator(`[data-testid="theme-${["system", "light", "dark"][random(3)]}"]`).click({ force: true });
      },
      reload: async () => {
        const tab = any();
        if (!(await loadable())) return;
        await tab.reload();
        await loaded(tab);
      },
      // The only one is left; where there is one, there are two again.
      close: async () => {
        if (tabs.length > 1) {
          await tabs.splice(random(2), 1)[0].close();
        } else if (await loadable()) {
          tabs.push(await open(chatUrl));
          await loaded(tabs[1]);
        }
      },
      offline: async () => {
        offline = !offline;
        await device.context.setOffline(offline);
      },
      kill: async () => {
        if (down) await server.again();
        else await server.kill();
        down = !down;
      },
      clock: () =>
        any().run(([ms]) => {
          globalThis.ahead = ms;
        }, (random(5) - 2) * 43_200_000),
      // As by the browser's own settings: the page is not asked.
      clear: async () => {
        const browserItself = await device.context.newCDPSession(tabs[0].page);
        await browserItself.send("Storage.clearDataForOrigin", { origin: server.page, storageTypes: "local_storage,indexeddb" });
        await browserItself.detach();
        mark = "";
      },
      resize: () => any().page.setViewportSize([{ width: 390, height: 700 }, { width: 800, height: 600 }, { width: 1280, height: 800 }][random(3)]),
    };
    const bag = Object.entries(WEIGHTS).flatMap(([name, weight]) => Array(weight).fill(name));
    const did = [];
    const took = {};
    try {
      for (let i = 0; i < actions; i++) {
        const name = bag[random(bag.length)];
        did.push(`${i} ${name}`);
        const began = performance.now();
        await acts[name]();
        // Neither lasts: what is done without a server is done soon.
        if (down && random(3) === 0) await acts.kill();
        if (offline && random(3) === 0) await acts.offline();
        took[name] ??= { times: 0, ms: 0 };
        took[name].times++;
        took[name].ms += performance.now() - began;
        assert.deepEqual(faults(), []);
      }
      did.push("rest");
      if (down) await acts.kill();
      if (offline) await acts.offline();
      bob.kick();
      for (const tab of tabs) await tab.run(() => dispatchEvent(new Event("online")));
      // Half a thought is still there.
      for (const tab of tabs) {
        await chat(tab);
      }
      const arrived = () => textsOf(bob, id, person.id);
      const deadline = Date.now() + 90_000;
      while ((bob.waiting.get() > 0 || (await arrived()).length < written.length) && Date.now() < deadline) {
        await new Promise((resolve) => setTimeout(resolve, 200));
      }
      assert.deepEqual(await arrived(), written, "what was written arrived once, in the order of writing");
      await until(() => announced.length >= written.length).catch(() => {});
      assert.deepEqual(announced, written, "each was announced once, in the order of writing");
      const last = [written.at(-1), heard.at(-1)];
      for (const tab of tabs) {
        await tab.page.locator('[data-testid="jump-newest"]').click({ timeout: 500 }).catch(() => {});
        await toNewest(tab);
        await tab.until((texts) => [...document.querySelectorAll('[data-testid="text"]')].some((it) => texts.includes(it.textContent)), last, 60_000);
        await settled(tab, 60_000);
      }
      // Behind another tab it would draw a frame a second.
      await tabs[0].page.bringToFront();
      const shown = await history(tabs[0]);
      assert.deepEqual(shown.map(({ seq }) => seq), shown.map((_, i) => (shown[0]?.seq ?? 0) + i));
      const of = (texts) => shown.map(({ text }) => text).filter((text) => texts.has(text));
      assert.deepEqual([of(new Set(written)), of(new Set(heard))], [written, heard], "the page shows each once, in order");
      assert.equal(shown.length, written.length + heard.length);
      assert.deepEqual(faults(), []);
    } catch (error) {
      error.message = `seed ${seed}, after ${did.slice(-12).join(", ")}: ${error.message}`;
      await Promise.all(tabs.map((tab, i) => tab.screenshot(`monkey-${seed}-${i}`).catch(() => {})));
      throw error;
    }
    return { written: written.length, heard: heard.length, took };
  } finally {
    if (down) await server.again();
    await bob.close();
    await device.close();
  }
}
