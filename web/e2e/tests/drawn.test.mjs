// What is drawn, said and taken: days and zones, texts that are cut, what shows something, and what
// a screen reader is told.

import assert from "node:assert/strict";
import { test } from "node:test";
import { seeText } from "../lib/people.mjs";
import { stage } from "../lib/stage.mjs";

const on = stage();
const FAMILY = "👨‍👩‍👧‍👦";

test("midnight and another zone reach the page that is open, and nothing else does", async (t) => {
  const { ann, bob } = await on.pair(t, (device) =>
    device.context.addInitScript(() => {
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
    }),
  );
  await bob.say("said today");
  await seeText(ann, "said today");
  const day = (name) => ann.page.locator(".day", { hasText: name }).waitFor();
  await day("Today");
  const back = () => ann.run(() => dispatchEvent(new Event("focus")));
  await ann.run(() => {
    globalThis.ahead = 86_400_000;
  });
  await back();
  await day("Yesterday");
  await ann.page.locator('[data-testid="chat-row"] time', { hasText: "Yesterday" }).waitFor();
  await ann.run(() => {
    globalThis.ahead = 0;
  });
  await back();
  await day("Today");

  const times = () => ann.run(() => [...document.querySelectorAll('[data-testid="message"] time')].map((it) => it.textContent));
  const before = await times();
  const browser = await ann.page.context().newCDPSession(ann.page);
  // Half an hour beside the hour: no time stays as it was.
  await browser.send("Emulation.setTimezoneOverride", { timezoneId: "Asia/Kathmandu" });
  await back();
  await ann.until((was) => document.querySelector('[data-testid="message"] time')?.textContent !== was, before[0]);
  const minutes = (text) => Number(text.split(":")[0]) * 60 + Number(text.split(":")[1]);
  const moved = (minutes((await times())[0]) - minutes(before[0]) + 1_440) % 1_440;
  assert.equal(moved, 345);
  assert.deepEqual(ann.faults, []);
});

test("what is cut ends at a character; what shows nothing is not sent; one's note stays with the contact", async (t) => {
  const { ann, bob } = await on.pair(t);
  const long = `${"a".repeat(119)}${FAMILY}bc`;
  await bob.say(long);
  await seeText(ann, long);
  const line = await ann.run(() => document.querySelector('[data-testid="chat-row"] p').textContent);
  assert.ok(line.endsWith(`a${FAMILY}…`), line);

  for (const nothing of ["\u2800", "\u200b\u200d", "\u3164", "\u00ad", "\ufe0f", "\ufeff \u0085"]) {
    await ann.fill("composer", nothing);
    assert.equal(await ann.page.locator('[data-testid="send"]').isDisabled(), true, JSON.stringify(nothing));
    await ann.press("Enter");
  }
  await ann.fill("composer", "\u0085something\ufeff");
  await ann.press("Enter");
  await seeText(bob, "something");
  assert.equal(await bob.page.locator('[data-testid="message"]').count(), 2);

  await bob.click("details");
  await bob.page.locator('[data-testid="note"]', { hasText: "It is Ann." }).waitFor();
});

test("a screen reader is told of what comes, and not of what was there", async (t) => {
  const { ann, bob } = await on.pair(t);
  const heard = () => ann.run(() => document.querySelector('[data-testid="heard"]').textContent);
  await bob.say("of old");
  await seeText(ann, "of old");
  await ann.reload();
  await seeText(ann, "of old");
  assert.equal(await heard(), "");
  await bob.say("just now");
  await seeText(ann, "just now");
  await ann.until(() => document.querySelector('[data-testid="heard"]').textContent === "Bob: just now");
  assert.equal(await ann.attribute("timeline", "aria-live"), "off");
  // Around it: one page heading, the panes as landmarks.
  assert.deepEqual(await ann.run(() => [...document.querySelectorAll("h1")].map((it) => it.textContent)), ["Chats"]);
  assert.deepEqual(await ann.run(() => ["nav", "main", '[data-testid="pane"][aria-label]'].map((it) => document.querySelectorAll(it).length)), [1, 1, 1]);
  assert.deepEqual(ann.faults, []);
});
