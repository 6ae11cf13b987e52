// UDP is cut in the middle of a conversation: it goes on over WebSocket within 5 s, nothing lost, nothing shown twice, order kept.

import assert from "node:assert/strict";
import { test } from "node:test";
import { startChromium } from "../lib/browsers.mjs";
import { befriend, connectedBy, drawn, history, newName, register, seeText, settled, toNewest } from "../lib/people.mjs";
import { startDev } from "../lib/server.mjs";
import { udpProxy } from "../lib/udp.mjs";

const BRIDGED_MS = 5_000;

test("UDP is cut in mid-conversation", async (t) => {
  const server = await startDev();
  t.after(server.stop);
  const proxy = await udpProxy(server.edge);
  t.after(proxy.close);
  // The browser's way to the edge's UDP port leads through the proxy; TCP to the page does not.
  const browser = await startChromium({ args: [`--host-resolver-rules=MAP 127.0.0.1:${server.edge} 127.0.0.1:${proxy.port}`] });
  t.after(browser.close);
  const [here, there] = [await browser.device(), await browser.device()];
  const [ann, bob] = [await here.open(server.page), await there.open(server.page)];
  const [annName, bobName] = [newName("ann"), newName("bob")];
  await register(ann, annName, "Ann");
  await register(bob, bobName, "Bob");
  await befriend(ann, bob, bobName, "It is Ann.");
  for (const tab of [ann, bob]) await connectedBy(tab, "webtransport");
  assert.ok(proxy.state.forwarded > 0, "nothing went through the proxy");

  const said = [];
  const say = async (tab, text) => {
    said.push(text);
    await tab.say(text);
  };
  for (let i = 0; i < 10; i++) {
    await say(ann, `ann before ${i}`);
    await say(bob, `bob before ${i}`);
  }
  await seeText(ann, "bob before 9");
  await seeText(bob, "ann before 9");

  proxy.cut();
  const cutAt = Date.now();
  // Both go on writing as if nothing had happened.
  await say(ann, "ann at the cut");
  await say(bob, "bob at the cut");
  await Promise.all([seeText(bob, "ann at the cut", BRIDGED_MS + 3_000), seeText(ann, "bob at the cut", BRIDGED_MS + 3_000)]);
  const took = Date.now() - cutAt;
  t.diagnostic(`bridged in ${took} ms`);
  for (const tab of [ann, bob]) {
    await connectedBy(tab, "websocket");
    await tab.see("toast");
  }
  assert.ok(took <= BRIDGED_MS, `it took ${took} ms`);
  assert.ok(proxy.state.dropped > 0, "nothing was cut");

  for (let i = 0; i < 10; i++) {
    await say(ann, `ann after ${i}`);
    await say(bob, `bob after ${i}`);
  }
  await seeText(ann, "bob after 9");
  await seeText(bob, "ann after 9");
  for (const tab of [ann, bob]) await settled(tab);

  const views = [];
  for (const tab of [ann, bob]) {
    const now = await drawn(tab);
    assert.equal(new Set(now.map(({ text }) => text)).size, now.length, "something is shown twice");
    const found = await history(tab);
    assert.deepEqual(found.map(({ text }) => text).sort(), [...said].sort(), "something is lost");
    for (const name of ["ann", "bob"]) {
      const mine = (texts) => texts.filter((text) => text.startsWith(name));
      assert.deepEqual(mine(found.map(({ text }) => text)), mine(said), "the order of one sender");
    }
    assert.deepEqual(found.map(({ seq }) => seq), found.map((_, i) => (found[0]?.seq ?? 0) + i));
    views.push(found);
  }
  assert.deepEqual(views[0], views[1]);

  // The path is back: so is WebTransport, quietly.
  proxy.mend();
  for (const tab of [ann, bob]) await connectedBy(tab, "webtransport", 60_000);
  await toNewest(bob);
  await say(ann, "ann at the end");
  await seeText(bob, "ann at the end");
});
