// Takes docs/screenshot.png: a conversation over WebTransport, 1280 x 800.

import { fileURLToPath } from "node:url";
import { startChromium } from "./lib/browsers.mjs";
import { connectedBy, newName, register } from "./lib/people.mjs";
import { connect, until } from "./lib/sdk.mjs";
import { startDev } from "./lib/server.mjs";

const server = await startDev();
const browser = await startChromium();
try {
  const device = await browser.device();
  const jo = await device.open(server.page);
  const joName = newName("jo");
  await register(jo, joName, "Jo Lindqvist");
  const friends = {};
  for (const [name, displayName] of [["mona", "Mona Okafor"], ["tomas", "Tomás Rivera"], ["chen", "陈晓"], ["ines", "Inês Duarte"]]) {
    const friend = await connect(server.page, newName(name), displayName);
    const [person] = await friend.findPeople(joName);
    await friend.requestContact(person, name === "ines" ? "We met at the meetup." : "");
    friends[name] = friend;
  }
  for (const name of ["tomas", "chen", "mona"]) {
    await jo.click("nav-contacts");
    const entry = jo.page.locator('[data-row]', { has: jo.page.locator(`[data-name^="${name}"]`) });
    await entry.locator('[data-testid="accept"]').click();
    await jo.see("chat");
    await until(() => friends[name].conversations.get().length > 0);
  }
  const idOf = (friend, group = false) => friend.conversations.get().find((conversation) => conversation.group === group)?.id;
  const pause = (ms = 250) => jo.page.waitForTimeout(ms);
  await jo.click("nav-chats");
  await jo.click("new-group");
  await jo.fill('[name="title"]', "Release crew");
  for (const pick of await jo.page.locator('[data-testid="pick"]').all()) await pick.click();
  await jo.click("create");
  await jo.see("composer");
  for (const friend of Object.values(friends).slice(0, 3)) await until(() => idOf(friend, true) !== undefined);

  const { mona, tomas, chen } = friends;
  tomas.send(idOf(tomas), "See you at the climbing wall.");
  chen.send(idOf(chen), "好的，我看一下");
  await jo.click("chat-row", `[data-id="${idOf(mona)}"]`);
  await jo.see("composer");
  mona.send(idOf(mona), "Morning! I sent you the route, have a look when you can.");
  await pause();
  mona.send(idOf(mona), "The ridge starts at the north gate: https://maps.example/ridge");
  await pause();
  await jo.say("Lovely. What time do we leave?");
  await pause();
  mona.send(idOf(mona), "Seven. Earlier if you can bear it.");
  await pause();
  await jo.say("I can bear it. Six then.");
  await pause();
  await jo.say("And I bring the stove.");
  await pause(1_200);
  mona.markRead(idOf(mona), mona.conversation(idOf(mona)).lastSeq);
  await pause(1_500);
  mona.send(idOf(mona), "Then I bring the coffee. Anything else we forget every single time? Last year it was the map, the year before the tent poles.");
  await pause();
  await jo.say("The sugar.");
  tomas.send(idOf(tomas, true), "Build is green, tagging now.");
  await pause();
  chen.send(idOf(chen, true), "moving to the new edge tonight");
  await pause(1_200);
  mona.type(idOf(mona), true);
  await jo.page.mouse.move(900, 300);
  await connectedBy(jo, "webtransport");
  await jo.see("subtitle", '[data-typing="true"]');
  await pause(1_500);
  await jo.page.screenshot({ path: fileURLToPath(new URL("../../docs/screenshot.png", import.meta.url)) });
  for (const friend of Object.values(friends)) await friend.close();
} finally {
  await browser.close();
  await server.stop();
}
