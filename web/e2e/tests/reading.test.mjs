// Reading: a conversation opens at the first unread message, read is what was on the screen, and
// the place is kept.

import assert from "node:assert/strict";
import { test } from "node:test";
import { newName, seeText } from "../lib/people.mjs";
import { connect, until } from "../lib/sdk.mjs";
import { stage } from "../lib/stage.mjs";

const on = stage();

/** The first and the last text on the screen. */
const onScreen = (tab) =>
  tab.run(() => {
    const box = document.querySelector('[data-testid="timeline"]').getBoundingClientRect();
    const seen = [...document.querySelectorAll('[data-testid="message"]')]
      .map((m) => ({ text: m.querySelector('[data-testid="text"]').textContent, box: m.getBoundingClientRect() }))
      .filter((m) => m.box.bottom > box.top + 4 && m.box.top < box.bottom - 4)
      .sort((a, b) => a.box.top - b.box.top);
    return { first: seen[0]?.text, last: seen.at(-1)?.text, top: Math.round(seen[0]?.box.top ?? 0) };
  });
const unread = async (tab) => Number(await tab.attribute("chat-row", "data-unread"));
/** What something says once it says the same twice, a few frames apart. */
async function still(look) {
  let before;
  for (let i = 0; i < 100; i++) {
    const now = await look();
    if (JSON.stringify(now) === JSON.stringify(before)) return now;
    before = now;
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  throw new Error("it does not come to rest");
}
/**
 * Scrolls as a wheel does: it is turned again when the page was still finding its place. Resolves
 * when that is drawn.
 */
const scroll = (tab, by) =>
  tab.run(async ([px]) => {
    const box = document.querySelector('[data-testid="timeline"]');
    const frames = async (count) => {
      for (let i = 0; i < count; i++) await new Promise((resolve) => requestAnimationFrame(() => setTimeout(resolve, 0)));
    };
    const from = box.scrollTop;
    for (let i = 0; i < 20 && Math.abs(box.scrollTop - from) < 10; i++) {
      box.scrollTop = from + px;
      await frames(4);
    }
    await frames(4);
  }, by);

test("300 unread messages: it opens at the first, with a divider; what is seen is read, and nothing else", async (t) => {
  const { ann, annName } = await on.pair(t);
  const cyd = await connect(on.server.page, newName("cyd"), "Cyd");
  t.after(() => cyd.close());
  const [person] = await cyd.findPeople(annName);
  await cyd.requestContact(person, "We met on the ridge.");
  // The arrival is said, with its note, and leads to where it is answered.
  await ann.page.locator('[data-testid="toast"]', { hasText: "Cyd asks to be your contact. “We met on the ridge.”" }).waitFor();
  await ann.page.locator('[data-testid="toast"] button').click();
  await ann.click("accept");
  await ann.see("chat");
  await until(() => cyd.conversations.get().length === 1);
  const id = cyd.conversations.get()[0].id;
  const row = `[data-id="${id}"]`;
  await ann.press("Escape");
  await ann.click("nav-chats");
  for (let i = 0; i < 300; i++) cyd.send(id, `line ${i}`);
  await ann.see("chat-row", `${row}[data-unread="300"]`, 30_000);
  await ann.click("chat-row", row);
  await ann.page.locator('[data-testid="unread-divider"]', { hasText: "300 unread" }).waitFor();
  await seeText(ann, "line 0");
  await ann.until((s) => Number(document.querySelector(s)?.dataset.unread) < 300, `[data-testid="chat-row"]${row}`);
  const opened = await onScreen(ann);
  assert.equal(opened.first, "line 0");
  const read = 300 - Number(await ann.attribute("chat-row", "data-unread", row));
  assert.ok(read >= 8 && read < 40, `${read} of 300 are read after the first screen`);
  assert.equal(Number(opened.last.split(" ")[1]) - read <= 1, true, `${opened.last} is on the screen, ${read} are read`);

  // Scrolled, hidden behind another window: nothing more is read.
  await ann.run(() => {
    document.hasFocus = () => false;
    dispatchEvent(new Event("blur"));
  });
  await scroll(ann, 400);
  assert.equal(300 - Number(await ann.attribute("chat-row", "data-unread", row)), read);
  await ann.run(() => {
    delete document.hasFocus;
    dispatchEvent(new Event("focus"));
  });
  await ann.until((s) => Number(document.querySelector(s.row)?.dataset.unread) < s.before, { row: `[data-testid="chat-row"]${row}`, before: 300 - read });

  // Settings, another conversation, and back: the place is where it was.
  const left = await onScreen(ann);
  await ann.click("nav-settings");
  await ann.see("devices");
  assert.deepEqual(await onScreen(ann), left);
  await ann.click("nav-chats");
  await ann.page.locator('[data-testid="chat-row"]', { hasText: "Bob" }).click();
  await ann.page.locator("h2", { hasText: "Bob" }).waitFor();
  await ann.click("chat-row", row);
  const back = await still(() => onScreen(ann));
  assert.equal(back.first, left.first);
  assert.ok(Math.abs(back.top - left.top) <= 2, `moved by ${back.top - left.top} px`);

  // All the way down on foot nothing is left out; at the end all is read.
  const seen = new Set();
  for (let i = 0; i < 200; i++) {
    for (const text of await ann.run(() => [...document.querySelectorAll('[data-testid="text"]')].map((e) => e.textContent))) seen.add(text);
    if (seen.has("line 299")) break;
    await scroll(ann, 500);
  }
  for (let i = Number(left.first.split(" ")[1]); i < 300; i++) assert.ok(seen.has(`line ${i}`), `line ${i} was never there`);
  await ann.click("jump-newest").catch(() => {});
  await ann.until((s) => document.querySelector(s)?.dataset.unread === "0", `[data-testid="chat-row"]${row}`);

  // Nobody looks: what comes is not followed past the screen, and the divider says where it begins.
  await ann.run(() => {
    document.hasFocus = () => false;
    dispatchEvent(new Event("blur"));
  });
  for (let i = 0; i < 40; i++) cyd.send(id, `away ${i}`);
  await ann.see("chat-row", `${row}[data-unread="40"]`);
  await ann.page.locator('[data-testid="unread-divider"]', { hasText: "40 unread" }).waitFor();
  await seeText(ann, "away 0");
  const waiting = await still(() => onScreen(ann));
  assert.notEqual(waiting.last, "away 39");
  await ann.screenshot("unread-divider");
  await ann.run(() => {
    delete document.hasFocus;
    dispatchEvent(new Event("focus"));
  });
  await ann.until((s) => Number(document.querySelector(s)?.dataset.unread) < 40, `[data-testid="chat-row"]${row}`);
  assert.ok(Number(await ann.attribute("chat-row", "data-unread", row)) > 5);
  // Who answers has read.
  await ann.say("I have read it all.");
  await ann.see("chat-row", `${row}[data-unread="0"]`);
  await seeText(ann, "I have read it all.");
  await ann.until(() => document.title === "gogochat");
  assert.deepEqual(ann.faults, []);
});

test("a device that comes back shows where what it missed begins, and stays there", async (t) => {
  const { here, ann, annName } = await on.pair(t);
  const cyd = await connect(on.server.page, newName("cyd"), "Cyd");
  t.after(() => cyd.close());
  const [person] = await cyd.findPeople(annName);
  await cyd.requestContact(person, "");
  await ann.click("nav-contacts");
  await ann.click("accept");
  await ann.see("chat");
  await until(() => cyd.conversations.get().length === 1);
  const id = cyd.conversations.get()[0].id;
  // All that the device has is read, and ends on the screen.
  cyd.send(id, "before");
  await seeText(ann, "before");
  await ann.until(() => document.title === "gogochat");
  const url = ann.page.url();
  await ann.close();
  for (let i = 0; i < 600; i++) cyd.send(id, `line ${i}`);
  await until(() => cyd.waiting.get() === 0, 120_000);
  const back = await here.open(url);
  await back.page.locator('[data-testid="unread-divider"]', { hasText: "600 unread" }).waitFor();
  await seeText(back, "line 0");
  const first = await still(() => onScreen(back));
  assert.equal(first.first, "before");
  const row = `[data-testid="chat-row"][data-id="${id}"]`;
  const left = await still(() => back.run(([row]) => document.querySelector(row)?.dataset.unread, row));
  assert.ok(Number(left) > 550, `${left} of 600 are unread after the first screen`);

  // As a wheel does, past the end of what is loaded: what comes behind it is not followed.
  for (let i = 0; i < 6; i++) await scroll(back, 500);
  const there = await still(() => onScreen(back));
  const line = Number(there.last.split(" ")[1]);
  assert.ok(line > 30 && line < 120, there.last);
  assert.ok(Number(await back.attribute("chat-row", "data-unread", `[data-id="${id}"]`)) >= 600 - line - 2);
  assert.deepEqual(back.faults, []);
});

test("of 200 conversations those on the screen are there; a row that moves keeps the focus", async (t) => {
  const { ann, annName } = await on.pair(t);
  const cyd = await connect(on.server.page, newName("cyd"), "Cyd");
  t.after(() => cyd.close());
  const [person] = await cyd.findPeople(annName);
  await cyd.requestContact(person, "");
  await ann.click("nav-contacts");
  await ann.click("accept");
  await until(() => cyd.conversations.get().length === 1);
  const groups = [];
  for (let i = 0; i < 200; i++) groups.push(await cyd.createGroup(`group ${i}`, [person.id]));
  await ann.press("Escape");
  await ann.click("nav-chats");
  await ann.page.locator('[data-testid="chat-row"]', { hasText: "group 199" }).waitFor();
  const rows = () => ann.run(() => [...document.querySelectorAll('[data-testid="chat-row"]')].map((row) => row.querySelector("b").textContent));
  assert.ok((await rows()).length < 60, `${(await rows()).length} rows are drawn`);
  // The focus is on a row while another comes to the top, and while it comes itself.
  const row = `[data-id="${groups[195]}"]`;
  await ann.page.focus(`[data-testid="chat-row"]${row}`);
  const focus = () => ann.run(() => document.activeElement?.dataset.id);
  for (const [group, text] of [[190, "another"], [195, "itself"]]) {
    cyd.send(groups[group], text);
    await ann.until((wanted) => document.querySelector('[data-testid="chat-row"] b')?.textContent === wanted, `group ${group}`);
    await still(focus);
    assert.equal(await focus(), groups[195], text);
  }
  await ann.press("ArrowDown");
  await ann.until((wanted) => document.activeElement?.dataset.id === wanted, groups[190]);
  // By the keys as far as one likes, past what was drawn.
  for (let i = 0; i < 40; i++) await ann.press("ArrowDown");
  await ann.until((wanted) => Number(document.activeElement?.querySelector("b")?.textContent.split(" ")[1]) < wanted, 175);
  await ann.page.fill('[type="search"]', "group 3");
  await ann.page.locator('[data-testid="chat-row"]', { hasText: "group 39" }).waitFor();
  assert.deepEqual(ann.faults, []);
});
