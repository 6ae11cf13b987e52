// Groups in the page: an owner gives roles, changes how the group is, mutes, removes, hands it over and ends it. By
// pointer and by keyboard, in both languages, wide and narrow.

import assert from "node:assert/strict";
import { test } from "node:test";
import { findings } from "../lib/axe.mjs";
import { newName, register } from "../lib/people.mjs";
import { connect, until } from "../lib/sdk.mjs";
import { stage } from "../lib/stage.mjs";

const on = stage();

const contains = (tab, id, text) =>
  tab.until(([id, text]) => document.querySelector(`[data-testid="${id}"]`)?.textContent?.includes(text), [id, text]);
const says = (tab, text) =>
  tab.until((text) => [...document.querySelectorAll(".sys")].some((line) => line.textContent === text), text);

/** Ann in the page, with a group of hers in which Mona and Tom are, who are devices without a page. */
async function group(t) {
  const device = await on.browser.device();
  t.after(() => device.close());
  const ann = await device.open(on.server.page);
  const annName = newName("ann");
  await register(ann, annName, "Ann");
  const friends = [];
  for (const [stem, displayName] of [
    ["mona", "Mona"],
    ["tom", "Tom"],
  ]) {
    const friend = await connect(on.server.page, newName(stem), displayName);
    t.after(() => friend.close());
    const [person] = await friend.findPeople(annName);
    await friend.requestContact(person, "");
    friends.push(friend);
  }
  const [mona, tom] = friends;
  for (const friend of friends) {
    await ann.click("nav-contacts");
    const row = ann.page.locator("[data-row]", { has: ann.page.locator(`[data-name="${friend.me.name}"]`) });
    await row.locator('[data-testid="accept"]').click();
    await ann.see("chat");
  }
  await ann.click("nav-chats");
  await ann.click("new-group");
  await ann.fill('[name="title"]', "Tea");
  await ann.page.locator('[data-testid="pick"]').nth(1).waitFor();
  for (const pick of await ann.page.locator('[data-testid="pick"]').all()) await pick.click();
  await ann.click("create");
  // Before it comes, the conversation that was open is there.
  await ann.until(() => document.querySelector(".top h2")?.textContent === "Tea");
  const id = await ann.run(() => location.hash.split("/").at(-1));
  for (const friend of friends) await until(() => friend.conversation(id) !== undefined, 60_000);
  await ann.click("details");
  await ann.see("dismiss");
  return { ann, mona, tom, id, conversation: (friend) => friend.conversation(id) };
}

/** Opens what may be done with a member, by the keyboard. */
async function manage(tab, friend) {
  await tab.see("manage", `[data-name="${friend.me.name}"]`);
  await tab.page.locator(`[data-testid="manage"][data-name="${friend.me.name}"]`).focus();
  await tab.page.keyboard.press("Enter");
  await tab.see("member-acts");
}

const marksOf = (tab, friend, text) =>
  tab.until(
    ([name, text]) =>
      document.querySelector(`.panel [data-testid="person"][data-name="${name}"] [data-testid="marks"]`)?.textContent?.includes(text),
    [friend.me.name, text],
  );

test("an owner changes a group, gives roles, mutes, removes and hands it over", async (t) => {
  const { ann, mona, tom, conversation } = await group(t);
  await marksOf(ann, { me: { name: await ann.run(() => document.querySelector('.panel [data-testid="person"]').dataset.name) } }, "Owner");

  // How it is, by the keyboard alone.
  await ann.page.locator('[data-testid="edit-group"]').focus();
  await ann.page.keyboard.press("Enter");
  await ann.see("group-form");
  assert.deepEqual(await findings(ann), []);
  await ann.fill('[name="title"]', "Tea at five");
  await ann.page.locator('[data-testid="notice-field"]').fill("Bring cups.");
  await ann.page.locator('[data-testid="posting-admins"]').focus();
  await ann.page.keyboard.press("Space");
  await ann.click("save-group");
  await contains(ann, "notice", "Bring cups.");
  await says(ann, "You named the group “Tea at five” · You wrote a notice: “Bring cups.” · You let only admins write");
  await until(() => conversation(tom).title === "Tea at five" && conversation(tom).settings.posting === "admins", 60_000);

  await manage(ann, mona);
  assert.deepEqual(await findings(ann), []);
  await ann.page.locator('[data-testid="toggle-admin"]').focus();
  await ann.page.keyboard.press("Enter");
  await marksOf(ann, mona, "Admin");
  await until(() => conversation(mona).role === "admin", 60_000);

  await manage(ann, tom);
  await ann.click("mute");
  await marksOf(ann, tom, "Muted");
  await until(() => conversation(tom).mutedUntilMs > 0, 60_000);
  await manage(ann, tom);
  await ann.click("unmute");
  await until(() => conversation(tom).mutedUntilMs === 0, 60_000);

  await manage(ann, tom);
  await ann.click("remove-member");
  await ann.click("confirm");
  await says(ann, "You removed Tom");
  await until(() => conversation(tom) === undefined, 60_000);

  await manage(ann, mona);
  await ann.click("transfer");
  await ann.click("confirm");
  await marksOf(ann, mona, "Owner");
  await says(ann, "Mona became the owner");
  await ann.until(() => document.querySelector('[data-testid="dismiss"]') === null);
  assert.deepEqual(await findings(ann), []);
});

test("others join by a link that is copied, until it is ended", async (t) => {
  const { ann, id } = await group(t);
  await ann.click("invites");
  await ann.see("make-invite");
  await ann.fill('[name="uses"]', "1");
  await ann.click("make-invite");
  await ann.see("invite");
  assert.deepEqual(await findings(ann), []);
  const link = await ann.run(() => document.querySelector('[data-testid="invite"] code').textContent);
  const device = await on.browser.device();
  t.after(() => device.close());
  const zoe = await device.open(on.server.page);
  await register(zoe, newName("zoe"), "Zoe");
  await zoe.run(([hash]) => {
    location.hash = hash;
  }, new URL(link).hash);
  await zoe.see("join");
  assert.deepEqual(await findings(zoe), []);
  await zoe.page.locator('[data-testid="join"]').focus();
  await zoe.page.keyboard.press("Enter");
  await zoe.see("composer");
  assert.equal(await zoe.run(() => location.hash.split("/").at(-1)), id);
  await says(ann, "Zoe joined");
  // It had one use.
  const late = await on.browser.device();
  t.after(() => late.close());
  const leo = await late.open(on.server.page);
  await register(leo, newName("leo"), "Leo");
  await leo.click("join-group");
  await leo.fill('[name="link"]', link);
  await leo.click("look");
  await leo.until(() => document.querySelector("dialog")?.textContent?.includes("This invite leads nowhere any more."));
  assert.deepEqual(await findings(leo), []);
});

test("a dismissed group stays to be read, in Chinese and on a phone too", async (t) => {
  const { ann, mona, conversation } = await group(t);
  await ann.run(() => {
    localStorage.setItem("gogochat.language", "zh");
    dispatchEvent(new StorageEvent("storage", { key: "gogochat.language", newValue: "zh", storageArea: localStorage }));
  });
  await ann.until(() => document.documentElement.lang.startsWith("zh"));
  await ann.page.setViewportSize({ width: 390, height: 844 });
  await manage(ann, mona);
  assert.deepEqual(await findings(ann), []);
  await ann.page.keyboard.press("Escape");
  await ann.click("dismiss");
  await ann.click("confirm");
  await says(ann, "我解散了群聊");
  await contains(ann, "not-writable", "群聊已解散");
  await until(() => conversation(mona).writable === false, 60_000);
  const fits = await ann.run(() => document.documentElement.scrollWidth <= innerWidth);
  assert.ok(fits, "the page is wider than the screen");
  assert.deepEqual(await findings(ann), []);
  await ann.click("leave");
  await ann.click("confirm");
  await ann.until((id) => document.querySelector(`[data-testid="chat-row"][data-id="${id}"]`) === null, await ann.run(() => location.hash));
});
