// The page beyond a plain conversation: groups, devices, password, offline, languages, keyboard,
// accessibility.

import assert from "node:assert/strict";
import { test } from "node:test";
import { findings } from "../lib/axe.mjs";
import { befriend, connectedBy, logIn, newName, register, seeText } from "../lib/people.mjs";
import { stage } from "../lib/stage.mjs";

const on = stage();

const pair = async (t) => ({ ...(await on.pair(t)), server: on.server, browser: on.browser });

test("axe has nothing to say, light and dark", async (t) => {
  const { server, browser, ann, bob } = await pair(t);
  await ann.say("Look at https://example.org/path, it works.");
  await seeText(bob, "Look at https://example.org/path, it works.");
  await bob.say("Thanks.");
  await seeText(ann, "Thanks.");
  for (const scheme of ["light", "dark"]) {
    // Without motion no colour is on its way to another.
    await ann.page.emulateMedia({ colorScheme: scheme, reducedMotion: "reduce" });
    assert.deepEqual(await findings(ann), [], `chat, ${scheme}`);
    await ann.click("details");
    assert.deepEqual(await findings(ann), [], `details, ${scheme}`);
    await ann.click("details");
    for (const section of ["contacts", "settings", "chats"]) {
      await ann.click(`nav-${section}`);
      assert.deepEqual(await findings(ann), [], `${section}, ${scheme}`);
    }
    await ann.click("chat-row");
  }
  const stranger = await (await browser.device()).open(server.page);
  await stranger.see("login");
  assert.deepEqual(await findings(stranger), [], "log in");
  await stranger.click("turn");
  assert.deepEqual(await findings(stranger), [], "register");
});

test("a group is made, grows and is left", async (t) => {
  const { server, browser, ann, bob, annName } = await pair(t);
  const cydName = newName("cyd");
  const cyd = await (await browser.device()).open(server.page);
  await register(cyd, cydName, "Cyd");
  await befriend(cyd, ann, annName, "It is Cyd.");

  await ann.click("nav-chats");
  await ann.click("new-group");
  await ann.fill('[name="title"]', "Hikers");
  await ann.page.locator('[data-testid="pick"]', { hasText: "Bob" }).click();
  await ann.click("create");
  await ann.see("chat");
  await ann.say("welcome");
  await bob.page.locator('[data-testid="chat-row"]', { hasText: "Hikers" }).click();
  await seeText(bob, "welcome");

  await ann.click("details");
  await ann.click("add-people");
  await ann.page.locator('[data-testid="pick"]', { hasText: "Cyd" }).click();
  await ann.click("add-picked");
  await ann.page.locator('[data-testid="panel"] [data-testid="person"]', { hasText: "Cyd" }).waitFor();
  await ann.say("and Cyd");
  await cyd.page.locator('[data-testid="chat-row"]', { hasText: "Hikers" }).click();
  await seeText(cyd, "and Cyd");

  await bob.click("details");
  await bob.click("leave");
  await bob.click("confirm");
  await bob.page.locator('[data-testid="chat-row"]', { hasText: "Hikers" }).waitFor({ state: "detached" });
  await ann.page.locator(".sys", { hasText: "Bob left" }).waitFor();
});

test("devices are listed and signed out; a new password signs the others out", async (t) => {
  const { server, browser, ann, annName } = await pair(t);
  const other = await (await browser.device()).open(server.page);
  await logIn(other, annName);
  await ann.click("nav-settings");
  await ann.page.locator('[data-testid="device"]').nth(1).waitFor();
  assert.equal(await ann.page.locator('[data-testid="device"][data-current="true"]').count(), 1);
  await ann.click("revoke");
  await other.see("login");
  await ann.page.locator('[data-testid="device"]').nth(1).waitFor({ state: "detached" });

  await logIn(other, annName);
  await ann.click("change-password");
  await ann.fill('[name="current"]', "not my password");
  await ann.fill('[name="next"]', "another long password");
  await ann.click("save-password");
  await ann.page.locator(".field.bad").waitFor();
  await ann.fill('[name="current"]', "correct horse battery");
  await ann.click("save-password");
  await other.see("login");
  await ann.see("toast");

  await ann.click("log-out");
  await ann.see("login");
  // Nothing of the account stays in the browser.
  assert.deepEqual(await ann.page.evaluate(async () => (await indexedDB.databases()).map((db) => db.name)), []);
  assert.equal(await ann.page.evaluate(() => localStorage.getItem("gogochat.signed-in")), null);
});

test("keyboard: jump, walk, help, line break; an input method's Enter does not send", async (t) => {
  const { ann, bob } = await pair(t);
  // To where one is already: the composer has the focus as before.
  const focused = () => ann.page.waitForFunction(() => document.activeElement?.dataset.testid === "composer");
  await ann.press("Control+k");
  await ann.press("Enter");
  await focused();
  await ann.press("Escape");
  await ann.page.waitForFunction(() => location.hash === "#/chats");
  await ann.press("Control+k");
  await ann.page.keyboard.type("bo");
  await ann.press("Enter");
  await ann.see("composer");
  await focused();
  await ann.page.keyboard.type("one");
  await ann.press("Shift+Enter");
  await ann.page.keyboard.type("two");
  await ann.press("Enter");
  await seeText(bob, "one\ntwo");

  // The Enter that ends a composition.
  await ann.fill("composer", "ni hao");
  await ann.page.$eval('[data-testid="composer"]', (area) => {
    area.dispatchEvent(new KeyboardEvent("keydown", { key: "Enter", isComposing: true, bubbles: true, cancelable: true }));
    area.dispatchEvent(new KeyboardEvent("keydown", { key: "Enter", keyCode: 229, bubbles: true, cancelable: true }));
  });
  assert.equal(await ann.page.inputValue('[data-testid="composer"]'), "ni hao");

  // The draft is there after a reload, and in the list when another pane is open.
  await ann.reload();
  await ann.see("composer");
  assert.equal(await ann.page.inputValue('[data-testid="composer"]'), "ni hao");
  await ann.press("Escape");
  await ann.page.locator('[data-testid="chat-row"]', { hasText: "ni hao" }).waitFor();
  await bob.say("unread now");
  await ann.page.waitForFunction(() => document.title === "(1) gogochat");
  await ann.press("Alt+ArrowDown");
  await seeText(ann, "unread now");
  await ann.page.waitForFunction(() => document.title === "gogochat");
  await ann.press("Escape");
  await ann.page.locator('[data-testid="composer"]').waitFor({ state: "detached" });
  await ann.page.keyboard.press("?");
  await ann.see("shortcuts");
});

test("text is text: markup shows as it was written, links are safe", async (t) => {
  const { ann, bob } = await pair(t);
  const nasty = `<img src=x onerror="document.title='owned'"> <script>alert(1)</script> javascript:alert(1) https://example.org/?q=<b>`;
  await ann.say(nasty);
  await seeText(bob, nasty);
  const links = await bob.page.$$eval('[data-testid="text"] a', (all) => all.map(({ href, rel }) => ({ href, rel })));
  assert.deepEqual(links, [{ href: "https://example.org/?q=", rel: "noopener noreferrer nofollow" }]);
  assert.equal(await bob.page.$$eval('[data-testid="timeline"] img, [data-testid="timeline"] script', (all) => all.length), 0);
  assert.deepEqual(bob.faults, []);
  // In the list each has its own direction, whatever stood there before.
  for (const [text, direction] of [["مرحبا", "rtl"], ["(see) you at 5 (or 6).", "ltr"]]) {
    await ann.say(text);
    await bob.page.waitForFunction(
      ([text, direction]) =>
        [...document.querySelectorAll('[data-testid="chat-row"] p bdi')].some(
          (e) => e.textContent.includes(text) && getComputedStyle(e).direction === direction,
        ),
      [text, direction],
    );
  }
});

test("older messages come in above without moving what is read", async (t) => {
  const { ann, bob } = await pair(t);
  for (let i = 0; i < 150; i++) await ann.say(`line ${i}`);
  await seeText(bob, "line 149");
  await bob.reload();
  await seeText(bob, "line 149");
  await connectedBy(bob, "webtransport");
  const jumps = await bob.page.evaluate(async () => {
    const box = document.querySelector('[data-testid="timeline"]');
    const frame = () => new Promise((resolve) => requestAnimationFrame(() => setTimeout(resolve, 30)));
    const worst = [];
    for (let step = 0; step < 60 && box.scrollTop > 0; step++) {
      box.scrollTop -= 120;
      await frame();
      const watched = [...document.querySelectorAll('[data-testid="message"]')].find((m) => m.getBoundingClientRect().top > 200);
      if (!watched) continue;
      const before = watched.getBoundingClientRect().top;
      await frame();
      await frame();
      if (watched.isConnected) worst.push(Math.abs(watched.getBoundingClientRect().top - before));
    }
    return worst;
  });
  assert.ok(jumps.length > 10, "it never scrolled");
  assert.ok(Math.max(...jumps) <= 2, `what was read moved by ${Math.max(...jumps)} px`);
});

test("the words change with the language, the colours with the theme, at once and after a reload", async (t) => {
  const { ann } = await pair(t);
  await ann.click("nav-settings");
  await ann.page.locator('[data-testid="language-zh"]').check({ force: true });
  await ann.page.locator("h1", { hasText: "设置" }).waitFor();
  await ann.page.locator('[data-testid="theme-dark"]').check({ force: true });
  assert.equal(await ann.page.evaluate(() => document.documentElement.className), "dark");
  await ann.reload();
  await ann.page.locator("h1", { hasText: "设置" }).waitFor();
  assert.equal(await ann.page.evaluate(() => `${document.documentElement.className} ${document.documentElement.lang}`), "dark zh-CN");
});

test("a narrow screen has one pane and a way back", async (t) => {
  const { server, browser, bob, annName } = await pair(t);
  await bob.say("hello");
  const phone = await (await browser.device({ viewport: { width: 390, height: 844 }, hasTouch: true, isMobile: true })).open(server.page);
  await logIn(phone, annName);
  await phone.click("chat-row");
  await seeText(phone, "hello");
  assert.equal(await phone.page.locator('[data-testid="pane"]').isVisible(), false);
  assert.equal(await phone.page.evaluate(() => document.documentElement.scrollWidth), 390);
  await phone.screenshot("narrow-chat");
  await phone.click("back");
  await phone.see("chats");
  await phone.screenshot("narrow-list");
});
