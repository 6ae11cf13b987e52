// Takes a picture of each state of the page, in light, dark and forced colours, on a phone and in
// Chinese, into out/looks, and asks axe about each: `npm run looks`. To be looked at by somebody.

import { mkdirSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { findings } from "./lib/axe.mjs";
import { startChromium } from "./lib/browsers.mjs";
import { logIn, newName, register, seeText } from "./lib/people.mjs";
import { connect, until } from "./lib/sdk.mjs";
import { startDev } from "./lib/server.mjs";

const out = fileURLToPath(new URL("out/looks/", import.meta.url));
mkdirSync(out, { recursive: true });
const WIDE = { width: 1280, height: 800 };
const PHONE = { width: 390, height: 844 };
let faults = 0;

/** Pictures of what the tab shows now. `phone: false`: where a phone shows something else. */
async function look(tab, name, { phone = true } = {}) {
  const shoot = async (variant) => {
    await tab.page.screenshot({ path: `${out}${name}-${variant}.png` });
    for (const finding of await findings(tab)) {
      faults++;
      console.error(`${name}, ${variant}: ${finding}`);
    }
  };
  const speak = async (language) => {
    await tab.run(([chosen]) => {
      // As from another tab.
      localStorage.setItem("gogochat.language", chosen);
      dispatchEvent(new StorageEvent("storage", { key: "gogochat.language", newValue: chosen, storageArea: localStorage }));
    }, language);
    await tab.until((wanted) => document.documentElement.lang.startsWith(wanted), language);
  };
  for (const [variant, media] of [
    ["light", { colorScheme: "light", forcedColors: "none" }],
    ["dark", { colorScheme: "dark", forcedColors: "none" }],
    ["forced", { colorScheme: "light", forcedColors: "active" }],
  ]) {
    await tab.page.emulateMedia({ ...media, reducedMotion: "reduce" });
    await shoot(variant);
  }
  await tab.page.emulateMedia({ colorScheme: "light", forcedColors: "none", reducedMotion: "reduce" });
  await speak("zh");
  await shoot("zh");
  if (phone) {
    await tab.page.setViewportSize(PHONE);
    await tab.page.waitForTimeout(200);
    await shoot("zh-phone");
    await speak("en");
    await shoot("phone");
    await tab.page.setViewportSize(WIDE);
  }
  await speak("en");
  console.log(name);
}

const server = await startDev();
const browser = await startChromium();
try {
  const device = await browser.device();
  const jo = await device.open(server.page);
  const joName = newName("jo");
  await look(jo, "log-in");
  await jo.fill('[name="name"]', "nobody-here");
  await jo.fill('[name="password"]', "not the password");
  await jo.click("submit");
  await jo.see("login-error");
  await look(jo, "log-in-wrong");
  await jo.click("turn");
  await look(jo, "register");
  await jo.click("turn");
  await register(jo, joName, "Jo Lindqvist");
  await jo.see("begin");
  await look(jo, "first-step");

  const friends = {};
  for (const [name, displayName, note] of [
    ["mona", "Mona Okafor", "It is Mona, from the climbing wall."],
    ["tomas", "Tomás Rivera", ""],
    ["chen", "陈晓", "你好，我是陈晓。\n我们在会上见过面。"],
    ["ines", "Inês Duarte de Albuquerque e Vasconcelos da Silva Pereira", "We met at the meetup."],
  ]) {
    const friend = await connect(server.page, newName(name), displayName);
    const [person] = await friend.findPeople(joName);
    await friend.requestContact(person, note);
    friends[name] = friend;
  }
  const stranger = await connect(server.page, newName("omar"), "عمر");
  await jo.see("toast");
  await look(jo, "toast", { phone: false });
  await jo.click("nav-contacts");
  await jo.page.locator('[data-testid="accept"]').nth(3).waitFor();
  await look(jo, "requests");
  await jo.fill("find", stranger.me.name.slice(0, 6));
  await jo.click("add");
  await look(jo, "find");
  await jo.fill("find", "nobody.of.this.name");
  await jo.page.waitForTimeout(600);
  await look(jo, "find-nobody");
  await jo.fill("find", "");
  for (const name of ["tomas", "chen", "mona"]) {
    await jo.click("nav-contacts");
    await jo.page.locator("[data-row]", { has: jo.page.locator(`[data-name^="${name}"]`) }).locator('[data-testid="accept"]').click();
    await jo.see("chat");
    await until(() => friends[name].conversations.get().length > 0, 120_000);
    if (name === "tomas") await look(jo, "empty-chat");
  }
  const { mona, tomas, chen } = friends;
  await jo.click("nav-contacts");
  await look(jo, "contacts");
  const idOf = (friend, group = false) => friend.conversations.get().find((conversation) => conversation.group === group)?.id;
  await jo.click("nav-chats");
  await jo.click("new-group");
  await jo.fill('[name="title"]', "Release crew");
  for (const pick of await jo.page.locator('[data-testid="pick"]').all()) await pick.click();
  await look(jo, "new-group");
  await jo.click("create");
  await jo.see("composer");
  for (const friend of [mona, tomas, chen]) await until(() => idOf(friend, true) !== undefined, 120_000);
  tomas.send(idOf(tomas, true), "Build is green, tagging now.");
  chen.send(idOf(chen, true), "今晚迁移到新的节点，大约需要十分钟。");
  await seeText(jo, "今晚迁移到新的节点，大约需要十分钟。");
  await jo.say("Thank you both. I write the notes.");
  await jo.click("details");
  await jo.see("dismiss");
  await jo.click("edit-group");
  await jo.page.locator('[data-testid="notice-field"]').fill("We tag on Fridays at four.\nBring what is merged, and nothing else.");
  await look(jo, "edit-group");
  await jo.click("save-group");
  await jo.see("notice");
  await look(jo, "group-details");
  await jo.page.locator('[data-testid="manage"]').first().click();
  await jo.see("member-acts");
  await look(jo, "manage-member");
  await jo.click("toggle-admin");
  await jo.page.locator('[data-testid="manage"]').last().click();
  await jo.click("mute");
  await jo.page.locator(".marks .bad").waitFor();
  await look(jo, "group-roles");
  await jo.click("dismiss");
  await look(jo, "dismiss-group");
  await jo.press("Escape");
  await jo.click("add-people");
  await look(jo, "add-people");
  await jo.press("Escape");
  await jo.click("leave");
  await look(jo, "leave-group");
  await jo.press("Escape");
  await jo.click("details");
  await jo.run(([hash]) => {
    location.hash = hash;
  }, `#/chats/${idOf(mona)}`);
  await jo.see("composer");
  for (const [who, text] of [
    [mona, "Morning! I sent you the route, have a look when you can."],
    [mona, "The ridge starts at the north gate: https://maps.example/ridge?from=north-gate&to=summit&with=a-rather-long-address-that-has-to-break-somewhere"],
    [jo, "Lovely. What time do we leave?"],
    [mona, "👍🏽"],
    [jo, "I can bear it. Six then.\n\nAnd I bring the stove."],
    [mona, "مرحبا، نلتقي عند البوابة الشمالية في السادسة."],
    [jo, "ASupercalifragilisticexpialidociousWordThatIsLongerThanTheLineAndHasNoPlaceToBreakAnywhereInItAtAllSoItBreaksWhereItMust"],
  ]) {
    if (who === jo) await jo.say(text);
    else who.send(idOf(who), text);
    await seeText(jo, text);
  }
  mona.markRead(idOf(mona), mona.conversation(idOf(mona)).lastSeq);
  await jo.see("message", '[data-state="read"]');
  mona.type(idOf(mona), true);
  await jo.page.mouse.move(900, 300);
  await jo.see("subtitle", '[data-typing="true"]');
  await look(jo, "chat");
  await jo.click("details");
  await look(jo, "contact-details");
  await jo.click("remove-contact");
  await look(jo, "remove-contact");
  await jo.press("Escape");
  await jo.click("details");
  await jo.press("Control+k");
  await jo.see("jump-input");
  await look(jo, "jump");
  await jo.press("Escape");
  await jo.click("nav-settings");
  await jo.see("device");
  await look(jo, "settings", { phone: false });
  await jo.click("change-password");
  await jo.page.locator('[data-testid="log-out"]').scrollIntoViewIfNeeded();
  await look(jo, "settings-end", { phone: false });
  await jo.press("Escape");
  await jo.see("nav-settings");
  await jo.page.setViewportSize(PHONE);
  await look(jo, "settings-phone");
  await jo.click("nav-chats");
  await jo.page.keyboard.press("?");
  await jo.see("shortcuts");
  await look(jo, "shortcuts");
  await jo.press("Escape");
  await jo.see("chats");
  for (let i = 0; i < 30; i++) mona.send(idOf(mona), `Something that came while you were away, number ${i + 1}.`);
  tomas.send(idOf(tomas), "See you at the climbing wall.");
  await jo.see("chat-row", `[data-id="${idOf(mona)}"][data-unread="30"]`);
  await look(jo, "unread");
  await jo.click("chat-row", `[data-id="${idOf(mona)}"]`);
  await jo.see("unread-divider");
  await look(jo, "divider");
  await tomas.removeContact(tomas.contacts.get()[0].person.id);
  await jo.run(([hash]) => {
    location.hash = hash;
  }, `#/chats/${idOf(tomas)}`);
  await jo.see("not-writable");
  await look(jo, "no-contact");
  await jo.run(([hash]) => {
    location.hash = hash;
  }, `#/chats/${idOf(chen)}`);
  await jo.see("composer");
  await server.kill();
  await jo.see("offline", "", 30_000);
  await jo.say("This goes out when we are back.");
  await look(jo, "offline");
  await server.again();
  await jo.page.locator('[data-testid="offline"]').waitFor({ state: "detached", timeout: 40_000 });
  const other = await (await browser.device()).open(server.page);
  await logIn(other, joName);
  await other.click("nav-settings");
  await other.page.locator('[data-testid="device"]').nth(1).waitFor();
  await other.click("revoke");
  await jo.see("login");
  await look(jo, "logged-out-elsewhere");
  for (const friend of [...Object.values(friends), stranger]) await friend.close();
} finally {
  await browser.close();
  await server.stop();
}
console.log(faults === 0 ? "axe has nothing to say" : `${faults} findings of axe`);
process.exitCode = faults > 0 ? 1 : 0;
