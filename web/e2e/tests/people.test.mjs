// What people say of themselves, how they are found by it, and what administrators do in the page.

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { test } from "node:test";
import { findings } from "../lib/axe.mjs";
import { newName, register } from "../lib/people.mjs";
import { binary } from "../lib/server.mjs";
import { stage } from "../lib/stage.mjs";

const on = stage();

/** Shows a view as it is drawn in each theme, wide and narrow, and has axe look at it. */
async function look(tab, name) {
  for (const [scheme, width] of [
    ["light", 1280],
    ["dark", 1280],
    ["light", 390],
    ["dark", 390],
  ]) {
    await tab.page.emulateMedia({ colorScheme: scheme, reducedMotion: "reduce" });
    await tab.page.setViewportSize({ width, height: width === 390 ? 844 : 800 });
    if (process.env.SCREENSHOTS) await tab.page.screenshot({ path: `${process.env.SCREENSHOTS}/${name}-${scheme}-${width}.png` });
    assert.deepEqual(await findings(tab), [], `${name}, ${scheme}, ${width}`);
  }
  await tab.page.emulateMedia({ colorScheme: "light", reducedMotion: "reduce" });
  await tab.page.setViewportSize({ width: 1280, height: 800 });
}

const contains = (tab, id, text) =>
  tab.until(([id, text]) => document.querySelector(`[data-testid="${id}"]`)?.textContent?.includes(text), [id, text]);

test("a new name and signature are seen by a contact at once, and by the other side after a reload", async (t) => {
  const { ann, bob } = await on.pair(t);
  await ann.click("nav-settings");
  await ann.click("edit-profile");
  await ann.fill('[name="displayName"]', "Annika Berg");
  await ann.fill('[name="signature"]', "On the ridge until Monday");
  await ann.page.locator('[name="birthday"]').fill("2000-02-29");
  await look(ann, "profile");
  await ann.click("save-profile");
  await contains(ann, "signature", "On the ridge until Monday");
  await bob.until(() => document.querySelector(".top h2")?.textContent === "Annika Berg");
  await bob.click("details");
  await contains(bob, "signature", "On the ridge until Monday");
  await ann.reload();
  await ann.see("nav-settings");
  await ann.click("nav-settings");
  await contains(ann, "signature", "On the ridge until Monday");
  // Cleared again.
  await ann.click("edit-profile");
  await ann.fill('[name="signature"]', "");
  await ann.click("save-profile");
  await bob.until(() => document.querySelector('[data-testid="signature"]') === null);
});

test("people are found by a word of their display name, and by @name alone", async (t) => {
  const { ann, bobName } = await on.pair(t);
  const device = await on.browser.device();
  t.after(() => device.close());
  const cyd = await device.open(on.server.page);
  const name = newName("cyd");
  const word = `Tanaka${Date.now().toString(36)}`;
  await register(cyd, name, `Kenji ${word}`);
  await ann.click("nav-contacts");
  await ann.fill("find", word.toUpperCase());
  await ann.see("contact", `[data-name="${name}"]`);
  await ann.fill("find", `@${bobName}`);
  await ann.see("contact", `[data-name="${bobName}"]`);
  assert.equal(await ann.page.locator('[data-testid="contact"]').count(), 1);
});

test("an administrator looks at a user, disables and enables them, and gives access anew", async (t) => {
  const { server, browser } = on;
  const [here, there] = await Promise.all([browser.device(), browser.device()]);
  t.after(() => Promise.all([here.close(), there.close()]));
  const ann = await there.open(server.page);
  const annName = newName("ann");
  await register(ann, annName, "Ann");
  await ann.see("nav-chats");
  assert.equal(await ann.page.locator('[data-testid="nav-admin"]').count(), 0);

  // The first administrator: a one-time password, and one's own.
  const bossName = newName("boss");
  const password = execFileSync(binary(), ["admin", "create", "--data", server.data, "--name", bossName], { stdio: ["ignore", "pipe", "ignore"] });
  const boss = await here.open(server.page);
  await boss.fill('[name="name"]', bossName);
  await boss.fill('[name="password"]', String(password).trim());
  await boss.click("submit");
  await boss.page.locator('[name="newPassword"]').waitFor();
  await look(boss, "one-time");
  await boss.fill('[name="newPassword"]', "correct horse battery");
  await boss.click("submit");
  await boss.see("nav-admin", "", 30_000);

  await boss.click("nav-admin");
  await look(boss, "administration");
  await boss.fill("find-user", annName);
  await boss.click("user", `[data-name="${annName}"]`);
  await boss.see("admin-user");
  await boss.until(() => document.querySelector('[data-testid="audit"] [data-act="registered"]'));
  await look(boss, "user");
  // Each pane says what it is.
  assert.deepEqual(await boss.run(() => [...document.querySelectorAll("h1, .title")].map((it) => it.textContent)), ["Administration", "User"]);
  await boss.fill('[name="reason"]', "spam");
  await boss.click("disable");
  await look(boss, "confirm");
  await boss.click("confirm");
  await boss.see("admin-user", '[data-disabled="true"]');
  // At once: Ann is out, and is told why she cannot come in.
  await ann.see("login");
  await ann.fill('[name="name"]', annName);
  await ann.fill('[name="password"]', "correct horse battery");
  await ann.click("submit");
  await seeErrorOf(ann, "disabled");
  await boss.click("enable");
  await boss.see("admin-user", '[data-disabled="false"]');
  await boss.click("reset");
  await boss.click("confirm");
  await boss.see("secret");
  await look(boss, "secret");
  const given = await boss.page.locator('[data-testid="secret"]').textContent();
  await ann.fill('[name="password"]', given);
  await ann.click("submit");
  await ann.page.locator('[name="newPassword"]').waitFor();
  await ann.fill('[name="newPassword"]', "password1");
  await ann.click("submit");
  await ann.until(() => document.querySelector('[name="newPassword"]')?.getAttribute("aria-invalid") === "true");
  await ann.fill('[name="newPassword"]', "battery horse correct");
  await ann.click("submit");
  await ann.see("nav-chats", "", 30_000);

  await boss.click("admin-audit");
  await boss.until(() => document.querySelectorAll('[data-testid="audit"] li').length > 5);
  for (const act of ["disabled", "enabled", "access_reset", "password_changed"]) {
    await boss.until((act) => document.querySelector(`[data-testid="audit"] [data-act="${act}"]`), act);
  }
  await look(boss, "audit");
  await boss.click("admin-invite");
  await boss.click("make-invitation");
  await boss.see("secret");
  await look(boss, "invite");

  await boss.click("nav-settings");
  await boss.click("language-zh");
  await boss.until(() => document.documentElement.lang === "zh-CN");
  await boss.click("edit-profile");
  await look(boss, "zh-profile");
  await boss.click("nav-admin");
  await boss.fill("find-user", annName);
  await boss.click("user", `[data-name="${annName}"]`);
  await boss.until(() => document.querySelector('[data-testid="audit"] [data-act="registered"]'));
  await look(boss, "zh-user");
  await boss.click("admin-audit");
  await boss.until(() => document.querySelectorAll('[data-testid="audit"] li').length > 5);
  await look(boss, "zh-audit");
});

function seeErrorOf(tab, word) {
  return tab.until((word) => document.querySelector('[data-testid="login-error"]')?.textContent?.includes(word), word);
}
