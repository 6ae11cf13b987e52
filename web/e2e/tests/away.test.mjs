// The server goes away in mid-conversation: what is written meanwhile is kept, also when the page
// is closed, and goes out once.

import assert from "node:assert/strict";
import { test } from "node:test";
import { befriend, connectedBy, drawn, kept, newName, register, seeText, settled } from "../lib/people.mjs";
import { connect, until } from "../lib/sdk.mjs";
import { stage } from "../lib/stage.mjs";

const on = stage();
/** Devices end with their test. */
const setUp = (t) => ({
  server: on.server,
  browser: {
    device: async (options) => {
      const device = await on.browser.device(options);
      t.after(() => device.close());
      return device;
    },
  },
});

const texts = async (tab) => (await drawn(tab)).map(({ text }) => text);

test("kill -9 and restart: both pages come back and nothing is lost or doubled", async (t) => {
  const { server, browser } = setUp(t);
  const [here, there] = [await browser.device(), await browser.device()];
  const [ann, bob] = [await here.open(server.page), await there.open(server.page)];
  const bobName = newName("bob");
  await register(ann, newName("ann"), "Ann");
  await register(bob, bobName, "Bob");
  await befriend(ann, bob, bobName, "It is Ann.");
  await ann.say("before");
  await seeText(bob, "before");

  // Killed while messages are under way.
  for (let i = 0; i < 5; i++) await ann.say(`under way ${i}`);
  await server.kill();
  await ann.say("while away");
  await ann.see("transport", '[data-transport="offline"]', 20_000);
  await ann.see("offline");
  await ann.see("message", '[data-state="sending"]');
  await ann.screenshot("offline");

  await server.again();
  await seeText(bob, "while away", 30_000);
  await settled(ann, 30_000);
  const expected = ["before", ...[0, 1, 2, 3, 4].map((i) => `under way ${i}`), "while away"];
  for (const tab of [ann, bob]) {
    assert.deepEqual(await texts(tab), expected);
    await connectedBy(tab, "webtransport", 30_000);
  }
  await ann.page.locator('[data-testid="offline"]').waitFor({ state: "detached" });
});

test("a page that was closed before its messages went out sends them on the next visit", async (t) => {
  const { server, browser } = setUp(t);
  const [here, there] = [await browser.device(), await browser.device()];
  const [ann, bob] = [await here.open(server.page), await there.open(server.page)];
  const bobName = newName("bob");
  await register(ann, newName("ann"), "Ann");
  await register(bob, bobName, "Bob");
  await befriend(ann, bob, bobName, "It is Ann.");
  await ann.say("before");
  await seeText(bob, "before");
  await settled(ann);
  const url = ann.page.url();
  await server.kill();
  await ann.see("offline", "", 20_000);
  await ann.say("kept 1");
  await ann.say("kept 2");
  await ann.page.locator('[data-testid="offline"]', { hasText: "2 messages are kept" }).waitFor();
  await kept(ann, 2);
  await ann.close();
  await server.again();
  await connectedBy(bob, "webtransport", 30_000);
  assert.ok(!(await texts(bob)).includes("kept 1"));
  const again = await here.open(url);
  await seeText(bob, "kept 2", 30_000);
  await seeText(again, "kept 2");
  await settled(again);
  for (const tab of [again, bob]) assert.deepEqual(await texts(tab), ["before", "kept 1", "kept 2"]);
});

test("what is sent in the moment in which the page is left is kept", async (t) => {
  const { here, ann, bob } = await on.pair(t);
  const url = ann.page.url();
  const tabs = [ann];
  for (let i = 1; i < 6; i++) tabs.push(await here.open(url));
  for (const tab of tabs) await tab.see("composer");
  await on.server.kill();
  const said = [];
  for (const [i, tab] of tabs.entries()) {
    await tab.see("offline", "", 20_000);
    said.push(`on the way out ${i}`);
    await tab.fill("composer", said[i]);
    await tab.run(async () => {
      document.querySelector('[data-testid="send"]').click();
      // What is done in this turn is done; nothing else is waited for.
      await Promise.resolve();
      location.replace("about:blank");
    });
    await tab.page.waitForURL("about:blank");
  }
  await on.server.again();
  const again = await here.open(url);
  await seeText(bob, said.at(-1), 30_000);
  await settled(again, 30_000);
  assert.deepEqual(await texts(bob), said);
});

test("a message that cannot be sent says so, and can be tried again or dropped", async (t) => {
  const { server, browser } = setUp(t);
  const here = await browser.device();
  const ann = await here.open(server.page);
  const annName = newName("ann");
  await register(ann, annName, "Ann");
  const bob = await connect(server.page, newName("bob"), "Bob");
  t.after(() => bob.close());
  const [person] = await bob.findPeople(annName);
  await bob.requestContact(person, "It is Bob.");
  await ann.click("nav-contacts");
  await ann.click("accept");
  await ann.see("chat");
  await until(() => bob.conversations.get().length === 1);

  // Bob ends the contact in the moment in which Ann writes.
  await server.kill();
  await ann.say("too late");
  await ann.say("also too late");
  const url = ann.page.url();
  await kept(ann, 2);
  await ann.close();
  await server.again();
  await until(() => bob.connection.get().status === "online");
  await bob.removeContact(person.id);
  const again = await here.open(url);
  await again.see("failed");
  await again.see("not-writable");
  await again.page.locator('[data-testid="failed"]').nth(1).waitFor();
  await again.screenshot("failed");
  await again.page.locator('[data-testid="failed"] button').nth(1).click();
  await again.page.locator('[data-testid="failed"]').nth(1).waitFor({ state: "detached" });
  await again.page.locator('[data-testid="retry"]').click();
  await again.see("failed");
  assert.deepEqual(await texts(again), ["also too late"]);
});

test("new messages are announced while the person looks elsewhere", async (t) => {
  const { server, browser } = setUp(t);
  const here = await browser.device({ permissions: ["notifications"] });
  // Headless browsers show none: what the page asks for is recorded.
  await here.context.addInitScript(() => {
    globalThis.announced = [];
    globalThis.Notification = class {
      static permission = "granted";
      static requestPermission = async () => "granted";
      constructor(title, { body }) {
        globalThis.announced.push(`${title}: ${body}`);
      }
      close() {}
    };
  });
  const ann = await here.open(server.page);
  const annName = newName("ann");
  await register(ann, annName, "Ann");
  await ann.click("nav-settings");
  await ann.page.locator('[data-testid="notify-on"]').check({ force: true });
  const bob = await connect(server.page, newName("bob"), "Bob");
  t.after(() => bob.close());
  const [person] = await bob.findPeople(annName);
  await bob.requestContact(person, "It is Bob.");
  await ann.click("nav-contacts");
  await ann.click("accept");
  await ann.see("chat");
  await until(() => bob.conversations.get().length === 1);
  const id = bob.conversations.get()[0].id;
  bob.send(id, "seen at once");
  await seeText(ann, "seen at once");
  await ann.press("Escape");
  await ann.page.locator('[data-testid="chat"]').waitFor({ state: "detached" });
  bob.send(id, "seen later");
  await ann.page.waitForFunction(() => globalThis.announced.length > 0);
  assert.deepEqual(await ann.page.evaluate(() => globalThis.announced), ["Bob: seen later"]);
  assert.equal(await ann.page.title(), "(1) gogochat");

  // Chromium on Android lets no page show any: its worker does, and the transport does not notice.
  await ann.page.evaluate(() => {
    globalThis.Notification = class {
      static permission = "granted";
      constructor() {
        throw new TypeError("Illegal constructor");
      }
    };
    ServiceWorkerRegistration.prototype.showNotification = async (title, { body }) => globalThis.announced.push(`worker, ${title}: ${body}`);
  });
  // By a device whose clock is a day ahead: it is as new as ever.
  await ann.page.evaluate(() => {
    const real = Date.now.bind(Date);
    Date.now = () => real() + 86_400_000;
  });
  bob.send(id, "by the worker");
  await ann.page.waitForFunction(() => globalThis.announced.length > 1);
  assert.equal(await ann.page.evaluate(() => globalThis.announced[1]), "worker, Bob: by the worker");
  await connectedBy(ann, "webtransport");
  assert.deepEqual(ann.faults, []);
});
