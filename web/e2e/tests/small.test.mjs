// Words and small things: what a person is told, and where the focus, the lists and the colours are.

import assert from "node:assert/strict";
import { test } from "node:test";
import { connectedBy, logIn, newName, register, seeText } from "../lib/people.mjs";
import { startDev } from "../lib/server.mjs";
import { stage } from "../lib/stage.mjs";

const on = stage();

test("a password at fault is said beside the field that it is in", async (t) => {
  const device = await on.browser.device();
  t.after(() => device.close());
  const ann = await device.open(on.server.page);
  await register(ann, newName("ann"), "Ann");
  await ann.click("nav-settings");
  // What cannot be undone comes last, and nothing leads to it by accident.
  const buttons = await ann.run(() => [...document.querySelectorAll('[data-testid="pane"] button')].map((button) => button.dataset.testid));
  assert.equal(buttons.at(-1), "log-out");
  await ann.click("change-password");
  const save = async (current, next) => {
    await ann.fill('[name="current"]', current);
    await ann.fill('[name="next"]', next);
    // Past what the browser itself refuses.
    await ann.run(() => {
      document.querySelector('[name="next"]').removeAttribute("minlength");
    });
    await ann.click("save-password");
    await ann.page.locator(".field.bad").waitFor();
    return ann.run(() => [...document.querySelectorAll(".field.bad")].map((field) => [field.querySelector("input").name, field.querySelector("p").textContent]));
  };
  assert.deepEqual(await save("not my password", "another long password"), [["current", "This is not your current password."]]);
  assert.deepEqual((await save("correct horse battery", "short")).map(([field]) => field), ["next"]);
  assert.deepEqual(ann.faults.filter((fault) => !/status of 40/.test(fault)), []);
});

test("who logs in after somebody else finds nothing of theirs, and a list that is new", async (t) => {
  const { ann, bob, annName, bobName } = await on.pair(t);
  await ann.click("nav-settings");
  await ann.see("device");
  // Another device comes and goes while nobody looks here.
  const other = await on.browser.device();
  t.after(() => other.close());
  const second = await other.open(on.server.page);
  await logIn(second, annName);
  await ann.run(() => {
    document.hasFocus = () => false;
    dispatchEvent(new Event("blur"));
    delete document.hasFocus;
    dispatchEvent(new Event("focus"));
  });
  await ann.page.locator('[data-testid="device"]').nth(1).waitFor();
  await ann.click("nav-chats");
  await ann.fill("composer", "half a thought of Ann's");
  await ann.click("nav-settings");
  await ann.click("log-out");
  await ann.see("login");
  await register(ann, newName("cyd"), "Cyd");
  assert.equal(await ann.run(() => location.hash), "#/chats");
  await ann.see("begin");
  assert.equal(await ann.page.locator('[data-testid="chat-row"]').count(), 0);
  assert.equal(await ann.run(() => Object.keys(localStorage).filter((key) => key.startsWith("gogochat.draft.")).length), 0);

  // The first step leads to where it is done, ready to type; a name may be typed as it is written.
  await ann.click("begin");
  await ann.page.waitForFunction(() => document.activeElement?.dataset.testid === "find");
  await ann.page.keyboard.type(`@${bobName.toUpperCase()}`);
  await ann.page.locator('[data-testid="contact"]', { hasText: `@${bobName}` }).waitFor();
  assert.equal(await bob.page.locator('[data-testid="transport"]').isVisible(), false, "a good connection is nobody's concern");
});

test("in forced colours the selected is told from the rest; dialogs stand in line; emoji alone are large", async (t) => {
  const { ann, bob } = await on.pair(t);
  await bob.say("👍🏽");
  await bob.say("fine 👍🏽");
  await seeText(ann, "fine 👍🏽");
  const sizes = await ann.run(() => [...document.querySelectorAll('[data-testid="text"]')].map((it) => Number.parseFloat(getComputedStyle(it).fontSize)));
  assert.ok(sizes[0] >= 2 * sizes[1], `${sizes}`);

  await ann.click("details");
  await ann.click("remove-contact");
  const edges = await ann.run(() => ["h2", "p"].map((it) => document.querySelector(`dialog ${it}`).getBoundingClientRect().left));
  assert.equal(edges[0], edges[1], "the title stands over the text");
  await ann.press("Escape");

  await ann.page.emulateMedia({ forcedColors: "active" });
  await ann.click("nav-chats");
  await ann.click("remove-contact");
  const seen = await ann.run(() => {
    const style = (selector) => getComputedStyle(document.querySelector(selector));
    return {
      row: style('[data-testid="chat-row"][aria-current="true"]').outlineStyle,
      nav: style('.rail [aria-current="page"]').outlineStyle,
      bubble: style('[data-testid="message"] .b').borderStyle,
      dialog: style("dialog").borderStyle,
    };
  });
  for (const [what, drawn] of Object.entries(seen)) assert.notEqual(drawn, "none", what);
  await ann.screenshot("forced");
});

test("of 5,000 contacts those on the screen are there, in the list and where members are picked", async (t) => {
  const { here, ann } = await on.pair(t);
  const url = ann.page.url();
  await ann.close();
  // As a device keeps them that has had them for years: 5,000 accounts would take the tests an hour.
  const quiet = await here.open(`${on.server.page}/icon.svg`);
  await quiet.run(async () => {
    const [{ name }] = await indexedDB.databases();
    const database = await new Promise((resolve) => {
      indexedDB.open(name).onsuccess = (event) => resolve(event.target.result);
    });
    const transaction = database.transaction("contacts", "readwrite");
    for (let i = 0; i < 5_000; i++) {
      const id = `00000000-0000-7000-8000-${String(i).padStart(12, "0")}`;
      const person = { id, name: `person${i}`, displayName: `Person ${i}` };
      transaction.objectStore("contacts").put({ person, state: "accepted", note: "", sinceMs: 1, conversationId: "" }, id);
    }
    await new Promise((resolve) => {
      transaction.oncomplete = resolve;
    });
    database.close();
  });
  const tab = await here.open(url);
  await tab.click("nav-contacts");
  const rows = () => tab.run(() => [...document.querySelectorAll('[data-testid="open-contact"] b')].map((it) => it.textContent));
  await tab.page.locator('[data-testid="open-contact"]').nth(5).waitFor();
  assert.ok((await rows()).length < 80, `${(await rows()).length} rows are drawn`);
  const height = await tab.run(() => document.querySelector('[data-testid="contacts"]').scrollHeight);
  assert.ok(height > 5_000 * 40, `${height} px`);
  await tab.page.focus('[data-testid="open-contact"]');
  for (let i = 0; i < 40; i++) await tab.press("ArrowDown");
  await tab.page.waitForFunction(() => document.activeElement?.dataset.testid === "open-contact" && document.querySelector('[data-testid="contacts"]').scrollTop > 500);

  // By what they call themselves, too.
  await tab.fill("find", "PERSON 4321");
  await tab.page.locator('[data-testid="open-contact"]', { hasText: "@person4321" }).waitFor();
  assert.equal(await tab.page.locator('[data-testid="open-contact"]').count(), 1);

  await tab.click("nav-chats");
  await tab.click("new-group");
  await tab.page.locator('[data-testid="pick"]').nth(3).waitFor();
  assert.ok((await tab.page.locator('[data-testid="pick"]').count()) < 60);
  await tab.page.fill("dialog .filter", "Person 4321");
  await tab.page.locator('[data-testid="pick"]', { hasText: "Person 4321" }).click();
  await tab.page.fill("dialog .filter", "");
  await tab.page.locator('[data-testid="pick"]').nth(3).waitFor();
  await tab.page.fill("dialog .filter", "Person 4321");
  assert.equal(await tab.page.locator('[data-testid="pick"] input').isChecked(), true, "what was picked stays so off the screen");
});

test("a window that becomes narrow, and wide again, takes nothing away", async (t) => {
  const { ann } = await on.pair(t);
  const narrow = () => ann.page.setViewportSize({ width: 390, height: 844 });
  const wide = () => ann.page.setViewportSize({ width: 1280, height: 800 });
  await ann.click("nav-contacts");
  await ann.fill("find", "half a na");
  await narrow();
  await ann.see("back");
  assert.equal(await ann.page.locator('[data-testid="find"]').isVisible(), false);
  await wide();
  assert.equal(await ann.page.inputValue('[data-testid="find"]'), "half a na");
  // A dialog stays in front, and gives the focus back to who opened it.
  await ann.click("nav-chats");
  await ann.page.focus('[data-testid="new-group"]');
  await ann.press("Enter");
  await ann.fill('[name="title"]', "Half a title");
  await narrow();
  assert.equal(await ann.page.locator('[name="title"]').isVisible(), true);
  await wide();
  assert.equal(await ann.page.inputValue('[name="title"]'), "Half a title");
  // The page has to have become wide: what is hidden takes no focus.
  await ann.see("new-group");
  await ann.press("Escape");
  await ann.page.waitForFunction(() => document.activeElement?.dataset.testid === "new-group");
  assert.deepEqual(ann.faults, []);
});

test("the page is quiet in the console, over IPv6 too, and connects by WebTransport there", async (t) => {
  const server = await startDev({ edgeHost: "[::1]" });
  t.after(server.stop);
  const device = await on.browser.device();
  t.after(() => device.close());
  const ann = await device.open(server.page);
  const said = [];
  ann.page.on("console", (message) => said.push(message.text()));
  await register(ann, newName("ann"), "Ann");
  await connectedBy(ann, "webtransport");
  await ann.reload();
  await connectedBy(ann, "webtransport");
  assert.deepEqual(said.filter((line) => /Content Security Policy/.test(line)), []);
  assert.deepEqual(ann.faults, []);
});
