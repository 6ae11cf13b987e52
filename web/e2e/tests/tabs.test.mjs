// One device in several tabs, and a browser that keeps nothing: what a person wrote goes out once,
// and what is said to be kept is.

import assert from "node:assert/strict";
import { test } from "node:test";
import { drawn, kept, seeText, settled } from "../lib/people.mjs";
import { stage } from "../lib/stage.mjs";

const on = stage();
const texts = async (tab) => (await drawn(tab)).map(({ text }) => text);
const composer = (tab) => tab.page.inputValue('[data-testid="composer"]');
const composes = (tab, text) =>
  tab.until((wanted) => document.querySelector('[data-testid="composer"]')?.value === wanted, text);

test("two tabs are one device: one session, one outbox, the same drafts and choices; either may be closed", async (t) => {
  const { here, ann, bob } = await on.pair(t, async (device) => {
    await device.context.addInitScript(() => {
      globalThis.dialled = 0;
      for (const name of ["WebTransport", "WebSocket"]) {
        globalThis[name] = class extends globalThis[name] {
          constructor(...args) {
            super(...args);
            globalThis.dialled++;
          }
        };
      }
    });
  });
  const url = ann.page.url();
  const two = await here.open(url);
  await two.say("from the second tab");
  await seeText(bob, "from the second tab");
  await seeText(ann, "from the second tab");
  assert.equal(await two.run(() => globalThis.dialled), 0, "the second tab has a connection of its own");

  // A draft is one draft, and what was sent is none any more.
  await ann.fill("composer", "half a thou");
  await composes(two, "half a thou");
  await two.fill("composer", "half a thought");
  await composes(ann, "half a thought");
  await two.press("Enter");
  await composes(ann, "");
  await seeText(bob, "half a thought");
  await ann.click("nav-settings");
  await ann.page.locator('[data-testid="theme-dark"]').check({ force: true });
  await two.until(() => document.documentElement.classList.contains("dark"));

  // Read in one tab is read in the other.
  await bob.say("read this");
  await seeText(two, "read this");
  await two.until(() => document.title === "gogochat");
  await ann.until(() => document.title === "gogochat");

  // The tab with the session goes away with messages that did not go out: the other sends them,
  // once and in order.
  await on.server.kill();
  await two.see("offline", "", 20_000);
  for (const text of ["one", "two"]) await ann.say(text);
  await two.say("three");
  await kept(two, 3);
  await ann.close();
  await on.server.again();
  await seeText(bob, "three", 30_000);
  await settled(two);
  const expected = ["from the second tab", "half a thought", "read this", "one", "two", "three"];
  for (const tab of [two, bob]) assert.deepEqual(await texts(tab), expected);

  // Closed in the moment of sending.
  const last = await here.open(url);
  await last.see("composer");
  await two.say("on the way out");
  await two.close();
  await seeText(bob, "on the way out", 5_000);
  await seeText(last, "on the way out");
  await settled(last);
  assert.deepEqual(await texts(last), [...expected, "on the way out"]);
  for (const tab of [last, bob]) assert.deepEqual(tab.faults.filter((fault) => !fault.includes("net::ERR")), []);
});

test("a browser that keeps nothing: the page works from memory, says what that means, and comes back", async (t) => {
  const { ann, bob } = await on.pair(t, async (device) => {
    await device.context.addInitScript(() => {
      globalThis.refused = true;
      const refuse = (holder, name) => {
        const own = Object.getOwnPropertyDescriptor(holder, name);
        Object.defineProperty(holder, name, {
          configurable: true,
          get() {
            if (globalThis.refused) throw new DOMException("refused", "SecurityError");
            return own.get.call(this);
          },
        });
      };
      for (const name of ["localStorage", "sessionStorage"]) refuse(globalThis, name);
      const open = IDBFactory.prototype.open;
      IDBFactory.prototype.open = function (...args) {
        if (globalThis.refused) throw new DOMException("refused", "SecurityError");
        return open.apply(this, args);
      };
    });
  });
  await ann.say("from memory");
  await seeText(bob, "from memory");
  await ann.see("not-kept");
  await on.server.kill();
  await ann.page.locator('[data-testid="offline"]', { hasText: "keeps nothing" }).waitFor({ timeout: 20_000 });
  await ann.say("only here");
  await ann.page.locator('[data-testid="offline"]', { hasText: "1 message goes out" }).waitFor();
  await ann.screenshot("not-kept");
  // The browser has room again: what waits is kept now, and so is the device.
  await ann.run(() => {
    globalThis.refused = false;
  });
  await ann.page.locator('[data-testid="offline"]', { hasText: "1 message is kept" }).waitFor({ timeout: 40_000 });
  await kept(ann, 1);
  await ann.page.locator('[data-testid="not-kept"]').waitFor({ state: "detached" });
  assert.ok(await ann.run(() => localStorage.getItem("gogochat.signed-in")));
  // Cleared by its owner, the page goes on and keeps everything anew.
  await ann.run(
    () =>
      new Promise((resolve) => {
        localStorage.clear();
        indexedDB.databases().then(([{ name }]) => {
          indexedDB.deleteDatabase(name).onsuccess = resolve;
        });
      }),
  );
  await ann.page.locator('[data-testid="offline"]', { hasText: "keeps nothing" }).waitFor();
  await ann.page.locator('[data-testid="offline"]', { hasText: "1 message is kept" }).waitFor({ timeout: 40_000 });
  await kept(ann, 1);
  await on.server.again();
  await seeText(bob, "only here", 30_000);
  await settled(ann);
  assert.deepEqual(await texts(ann), ["from memory", "only here"]);
});
