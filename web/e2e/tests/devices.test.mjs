// One person with two devices, one of them away for 10,000 messages: soon after its return both show
// the same. How much that takes is told by the same visit with nothing missed, as other tests run
// beside this one.

import assert from "node:assert/strict";
import { test } from "node:test";
import { startChromium } from "../lib/browsers.mjs";
import { connectedBy, drawn, history, logIn, newName, register, seeText, toNewest } from "../lib/people.mjs";
import { connect, until } from "../lib/sdk.mjs";
import { startDev } from "../lib/server.mjs";

const AWAY = 10_000;
/** What it takes beyond a visit with nothing missed. */
const RETURN_MS = 3_000;

test("a device that was away for 10,000 messages", async (t) => {
  const server = await startDev();
  t.after(server.stop);
  const browser = await startChromium();
  t.after(browser.close);
  const annName = newName("ann");
  const [one, two] = [await browser.device(), await browser.device()];
  const first = await one.open(server.page);
  await register(first, annName, "Ann");
  let second = await two.open(server.page);
  await logIn(second, annName);

  const bob = await connect(server.page, newName("bob"), "Bob");
  t.after(() => bob.close());
  const [ann] = await bob.findPeople(annName);
  await bob.requestContact(ann, "It is Bob.");
  await first.click("nav-contacts");
  await first.click("accept");
  await first.see("chat");
  await until(() => bob.conversations.get().length === 1);
  const id = bob.conversations.get()[0].id;
  bob.send(id, "before");
  await seeText(first, "before");
  await second.click("chat-row");
  await seeText(second, "before");
  await connectedBy(second, "webtransport");
  await second.close();
  const visit = async (see) => {
    second = await two.open("about:blank");
    const began = Date.now();
    await second.goto(`${server.page}/#/chats/${id}`);
    await see();
    // What is read on one is read on the other.
    for (const tab of [first, second]) await tab.until(() => document.title === "gogochat");
    return Date.now() - began;
  };
  const plain = await visit(() => seeText(second, "before"));
  await second.close();
  // The first device looks elsewhere, so that everything stays unread.
  await first.press("Escape");

  const began = Date.now();
  for (let i = 0; i < AWAY; i++) bob.send(id, `message ${i}`);
  await until(() => bob.waiting.get() === 0, 120_000);
  t.diagnostic(`${AWAY} messages sent in ${Date.now() - began} ms`);
  await first.until(() => document.title.startsWith("(999+)"));

  const took = await visit(async () => {
    // It begins where the person was, and stays there; the newest is one step away.
    await second.click("jump-newest");
    await seeText(second, `message ${AWAY - 1}`);
  });
  t.diagnostic(`back in ${took} ms; with nothing missed in ${plain} ms`);

  await first.click("chat-row");
  await seeText(first, `message ${AWAY - 1}`);
  for (const tab of [first, second]) await toNewest(tab);
  const last = async (tab) => (await drawn(tab)).slice(-10);
  assert.equal((await last(first)).at(-1).text, `message ${AWAY - 1}`);
  assert.deepEqual(await last(second), await last(first));
  assert.ok(took - plain <= RETURN_MS, `it took ${took} ms, and ${plain} ms with nothing missed`);

  // Whoever scrolls up finds every one of them, in order.
  const found = await history(second);
  assert.deepEqual(found.map(({ text }) => text), ["before", ...Array.from({ length: AWAY }, (_, i) => `message ${i}`)]);
  assert.deepEqual(second.faults, []);
});
