// Blocking somebody in the page: from a conversation, from a request, and ending it; what they write in a common group is
// folded.

import assert from "node:assert/strict";
import { test } from "node:test";
import { findings } from "../lib/axe.mjs";
import { newName } from "../lib/people.mjs";
import { connect, until } from "../lib/sdk.mjs";
import { stage } from "../lib/stage.mjs";

const on = stage();

test("who is blocked is told of the end of a contact, and a request of theirs never arrives", async (t) => {
  const { ann, bob, annName } = await on.pair(t);
  await ann.click("details");
  await ann.page.locator('[data-testid="block"]').focus();
  await ann.page.keyboard.press("Enter");
  await ann.see("confirm");
  assert.deepEqual(await findings(ann), []);
  await ann.click("confirm");
  await ann.see("unblock");
  await ann.see("not-writable");
  // As where a contact ends.
  await bob.see("not-writable");
  await bob.click("nav-contacts");
  await bob.fill("find", annName);
  await bob.click("add");
  await bob.fill('[name="note"]', "Ann?");
  await bob.click("ask");
  await bob.until(() => document.querySelector('[data-testid="contacts"]')?.textContent?.includes("Request sent"));
  await ann.click("nav-settings");
  await ann.until(() => document.querySelector('[data-testid="blocked"]')?.textContent?.includes("Bob"));
  assert.deepEqual(await findings(ann), []);
  await ann.reload();
  await ann.see("blocked");
  await ann.click("nav-contacts");
  const requests = await ann.run(() => document.querySelectorAll('[data-testid="accept"]').length);
  assert.equal(requests, 0);
  await ann.click("nav-settings");
  await ann.click("unblock");
  await ann.until(() => !document.querySelector('[data-testid="blocked"]')?.textContent?.includes("Bob"));
});

test("a request is blocked, and in a common group what the blocked write is folded", async (t) => {
  const { ann, annName } = await on.pair(t);
  const mallory = await connect(on.server.page, newName("mal"), "Mallory");
  const mona = await connect(on.server.page, newName("mona"), "Mona");
  t.after(() => Promise.all([mallory.close(), mona.close()]));
  for (const friend of [mallory, mona]) {
    const [person] = await friend.findPeople(annName);
    await friend.requestContact(person, "");
  }
  const [asked] = await mona.findPeople(mallory.me.name);
  await mona.requestContact(asked, "");
  await until(() => mallory.contacts.get().some((contact) => contact.state === "incoming"));
  await mallory.acceptContact(mona.me.id);
  await ann.click("nav-contacts");
  const row = (friend) => ann.page.locator("[data-row]", { has: ann.page.locator(`[data-name="${friend.me.name}"]`) });
  await row(mallory).locator('[data-testid="block"]').click();
  await ann.click("confirm");
  await row(mallory).waitFor({ state: "detached" });
  await until(() => !mallory.contacts.get().some((contact) => contact.person.name === annName));
  await row(mona).locator('[data-testid="accept"]').click();
  await ann.see("chat");
  const me = mona.contacts.get().find((contact) => contact.person.name === annName);
  await until(() => mona.contacts.get().some((contact) => contact.person.name === annName && contact.state === "accepted"));
  const group = await mona.createGroup("Tea", [me.person.id, mallory.me.id]);
  await until(() => mallory.conversation(group) !== undefined);
  await ann.run(([hash]) => {
    location.hash = hash;
  }, `#/chats/${group}`);
  await ann.see("composer");
  mallory.send(group, "Look at me");
  await ann.see("folded");
  assert.ok(!(await ann.run(() => document.querySelector('[data-testid="timeline"]').textContent.includes("Look at me"))));
  assert.deepEqual(await findings(ann), []);
  await ann.page.locator('[data-testid="folded"]').focus();
  await ann.page.keyboard.press("Enter");
  await ann.until(() => document.querySelector('[data-testid="timeline"]').textContent.includes("Look at me"));
});
