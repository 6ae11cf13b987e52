// Two-step log-in: turned on with an authenticator, asked for, and turned off with a recovery code.

import assert from "node:assert/strict";
import { createHmac } from "node:crypto";
import { test } from "node:test";
import { findings } from "../lib/axe.mjs";
import { newName, PASSWORD, register } from "../lib/people.mjs";
import { stage } from "../lib/stage.mjs";

const on = stage();

/** What an authenticator shows so many steps of 30 s from now (RFC 6238). */
function shown(secret, steps) {
  const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
  const bits = [...secret].map((c) => alphabet.indexOf(c).toString(2).padStart(5, "0")).join("");
  const key = Buffer.from(bits.match(/.{8}/g).map((byte) => Number.parseInt(byte, 2)));
  const counter = Buffer.alloc(8);
  counter.writeBigUInt64BE(BigInt(Math.floor(Date.now() / 30_000) + steps));
  const hash = createHmac("sha1", key).update(counter).digest();
  const code = hash.readUInt32BE(hash[19] & 15) & 0x7fffffff;
  return String(code % 1_000_000).padStart(6, "0");
}

test("a second factor is turned on, asked for at each log-in, and turned off again", async (t) => {
  const [here, there] = await Promise.all([on.browser.device(), on.browser.device()]);
  t.after(() => Promise.all([here.close(), there.close()]));
  const ann = await here.open(on.server.page);
  const name = newName("ann");
  await register(ann, name, "Ann");
  await ann.click("nav-settings");
  await ann.click("factor-turn");
  await ann.fill('[name="current"]', "not this one");
  await ann.click("factor-begin");
  await ann.until(() => document.querySelector('[data-testid="second-factor"] .field.bad'));
  await ann.fill('[name="current"]', PASSWORD);
  await ann.click("factor-begin");
  await ann.see("secret");
  assert.deepEqual(await findings(ann), []);
  const secret = await ann.page.locator('[data-testid="secret"]').textContent();
  await ann.fill('[name="code"]', "000000");
  await ann.click("factor-confirm");
  await ann.until(() => document.querySelector('[data-testid="second-factor"] .field.bad'));
  // That of the step before, so that those of now and later are left for log-ins.
  await ann.fill('[name="code"]', shown(secret, -1));
  await ann.click("factor-confirm");
  await ann.see("factor-kept");
  const codes = (await ann.page.locator('[data-testid="secret"]').textContent()).split("\n");
  assert.equal(codes.length, 10);
  assert.deepEqual(await findings(ann), []);
  await ann.click("factor-kept");
  await ann.until(() => /10/.test(document.querySelector('[data-testid="factor-state"]')?.textContent ?? ""));

  const other = await there.open(on.server.page);
  await other.fill('[name="name"]', name);
  await other.fill('[name="password"]', PASSWORD);
  await other.click("submit");
  await other.page.locator('[name="factor"]').waitFor();
  assert.deepEqual(await findings(other), []);
  await other.fill('[name="factor"]', "000000");
  await other.click("submit");
  await other.until(() => document.querySelector(".field.bad [name=factor]"));
  await other.fill('[name="factor"]', shown(secret, 1));
  await other.click("submit");
  await other.see("nav-settings", "", 30_000);

  await other.click("nav-settings");
  await other.click("factor-turn");
  await other.fill('[name="current"]', PASSWORD);
  await other.fill('[name="code"]', codes[3].toUpperCase());
  await other.click("factor-remove");
  await other.until(() => document.querySelector('[data-testid="factor-turn"]') && !/10|9/.test(document.querySelector('[data-testid="factor-state"]')?.textContent ?? ""));
});
