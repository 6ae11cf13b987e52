// What comes late, or not at all, takes nothing away: a person goes on with what they have, and is
// told what helps.

import assert from "node:assert/strict";
import { test } from "node:test";
import { befriend, newName, register, seeText } from "../lib/people.mjs";
import { stage } from "../lib/stage.mjs";

const on = stage();

test("a person who types at their own pace loses neither letters nor the focus, whatever loads meanwhile", async (t) => {
  const { ann, bob, bobName } = await on.pair(t);
  await ann.run(() => {
    globalThis.takenAway = [];
    // Whatever stands in for the page, or leaves the focus to nobody.
    new MutationObserver(() => {
      if (document.querySelector(".skeleton")) globalThis.takenAway.push("skeleton");
      if (document.activeElement === document.body && globalThis.typing) globalThis.takenAway.push("focus");
    }).observe(document.body, { childList: true, subtree: true });
  });
  await ann.click("nav-contacts");
  await ann.page.focus('[data-testid="find"]');
  await ann.run(() => {
    globalThis.typing = true;
  });
  await ann.page.keyboard.type(bobName.slice(0, 8), { delay: 130 });
  await ann.page.locator('[data-testid="contact"]', { hasText: `@${bobName}` }).waitFor();
  assert.equal(await ann.page.inputValue('[data-testid="find"]'), bobName.slice(0, 8));
  // Half a sentence in the composer outlives settings, a message that comes in, a language, a theme
  // and a new connection.
  await ann.page.focus('[data-testid="composer"]');
  await ann.page.keyboard.type("half a ", { delay: 60 });
  await bob.say("are you there?");
  await seeText(ann, "are you there?");
  await ann.page.keyboard.type("sentence", { delay: 60 });
  await ann.run(() => {
    globalThis.typing = false;
  });
  await ann.click("nav-settings");
  await ann.see("device");
  await ann.page.locator('[data-testid="language-zh"]').check({ force: true });
  await ann.page.locator("h1", { hasText: "设置" }).waitFor();
  await ann.page.locator('[data-testid="language-en"]').check({ force: true });
  await ann.page.locator("h1", { hasText: "Settings" }).waitFor();
  assert.equal(await ann.page.inputValue('[data-testid="composer"]'), "half a sentence");
  await ann.page.focus('[data-testid="composer"]');
  await on.server.kill();
  await ann.see("offline", "", 20_000);
  await ann.page.keyboard.type(", whole", { delay: 40 });
  await on.server.again();
  await ann.page.locator('[data-testid="offline"]').waitFor({ state: "detached", timeout: 40_000 });
  assert.equal(await ann.page.inputValue('[data-testid="composer"]'), "half a sentence, whole");
  assert.equal(await ann.run(() => document.activeElement?.dataset.testid), "composer");
  assert.deepEqual(await ann.run(() => globalThis.takenAway), []);

  // A contact who is none any more: their conversation opens, and says so; nobody is online there.
  await bob.click("details");
  await bob.click("remove-contact");
  await bob.click("confirm");
  await ann.see("not-writable");
  await ann.click("nav-chats");
  await ann.press("Escape");
  await ann.click("chat-row");
  await ann.see("not-writable");
  await ann.click("details");
  assert.equal(await ann.page.locator('[data-testid="panel"] .av.on').count(), 0);
  assert.deepEqual(ann.faults.filter((fault) => !fault.includes("net::ERR")), []);
});

test("who has no conversations yet keeps the first step in front of them while the connection is made anew", async (t) => {
  const device = await on.browser.device({ viewport: { width: 390, height: 844 } });
  t.after(() => device.close());
  const cyd = await device.open(on.server.page);
  await register(cyd, newName("cyd"), "Cyd");
  await cyd.see("begin");
  await cyd.run(() => {
    globalThis.takenAway = 0;
    new MutationObserver(() => {
      if (!document.querySelector('[data-testid="begin"]') || document.querySelector(".ghost")) globalThis.takenAway++;
    }).observe(document.body, { childList: true, subtree: true });
  });
  await on.server.kill();
  await cyd.see("transport", '[data-transport="offline"]', 20_000);
  await on.server.again();
  await cyd.until(() => document.querySelector('[data-testid="transport"]')?.dataset.transport === "webtransport", undefined, 40_000);
  assert.equal(await cyd.run(() => globalThis.takenAway), 0);
});

test("a part that does not come says so; a choice is kept when it has worked; a newer page is offered", async (t) => {
  const device = await on.browser.device();
  t.after(() => device.close());
  const missing = new Set(["Shell"]);
  let page = "";
  await device.context.route("**/*", async (route) => {
    const { pathname } = new URL(route.request().url());
    if ([...missing].some((name) => pathname.includes(`/assets/${name}`))) return route.fulfill({ status: 404, body: "" });
    if (pathname === "/" && page) return route.fulfill({ status: 200, contentType: "text/html", body: page });
    return route.continue();
  });
  const ann = await device.open(on.server.page);
  await ann.click("turn");
  const annName = newName("ann");
  await ann.fill('[name="name"]', annName);
  await ann.fill('[name="password"]', "correct horse battery");
  await ann.click("submit");
  await ann.see("broken");
  await ann.screenshot("broken");
  missing.clear();
  await ann.click("reload");
  await ann.see("nav-chats");

  missing.add("zh");
  await ann.click("nav-settings");
  await ann.page.locator('[data-testid="language-zh"]').click({ force: true });
  await ann.see("wordless");
  assert.equal(await ann.run(() => localStorage.getItem("gogochat.language")), null);
  assert.equal(await ann.page.locator('[data-testid="language-en"]').isChecked(), true);
  // Chosen long ago, and not to be had now: the page speaks what it can.
  await ann.run(() => localStorage.setItem("gogochat.language", "zh"));
  await ann.reload();
  await ann.see("nav-settings");
  await ann.see("wordless");
  missing.clear();
  await ann.reload();
  await ann.page.locator("h1", { hasText: "设置" }).waitFor();

  const bob = await (await on.browser.device()).open(on.server.page);
  await register(bob, newName("bob"), "Bob");
  await befriend(bob, ann, annName, "It is Bob.");
  page = '<!doctype html><script type="module" src="/assets/index-another.js"></script>';
  await ann.fill("composer", "not sent yet");
  await on.server.kill();
  await ann.see("offline", "", 20_000);
  await on.server.again();
  await ann.see("outdated", "", 40_000);
  page = "";
  await ann.click("outdated", ' [data-testid="reload"]');
  await ann.see("composer");
  assert.equal(await ann.page.inputValue('[data-testid="composer"]'), "not sent yet");
});
