// Two people register, become contacts, exchange 100 messages each way while typing and read marks
// show, reload, and find it all.

import assert from "node:assert/strict";
import { testCertificate } from "./certs.mjs";
import { befriend, connectedBy, exchange, history, newName, register } from "./people.mjs";
import { startDev, startServe } from "./server.mjs";
import { udpBlackHole } from "./udp.mjs";

const EACH = 100;

async function conversation(browser, url, transport) {
  const [here, there] = [await browser.device(), await browser.device()];
  const [ann, bob] = [await here.open(url), await there.open(url)];
  const [annName, bobName] = [newName("ann"), newName("bob")];
  await register(ann, annName, "Ann");
  await register(bob, bobName, "Bob");
  await befriend(ann, bob, bobName, "It is Ann.");
  for (const tab of [ann, bob]) await connectedBy(tab, transport);
  await ann.see("subtitle", '[data-online="true"]');

  const marks = await exchange(ann, bob, EACH);
  assert.deepEqual(marks, { typing: 8, read: 8 });

  const expected = Array.from({ length: EACH }, (_, i) => [`ann ${i}`, `bob ${i}`]).flat();
  for (const tab of [ann, bob]) {
    await tab.reload();
    await tab.see("message");
    await connectedBy(tab, transport);
    const found = await history(tab);
    assert.deepEqual(found.map(({ text }) => text), expected);
    // Gapless, each once.
    assert.deepEqual(found.map(({ seq }) => seq), found.map((_, i) => (found[0]?.seq ?? 0) + i));
    // That WebTransport does not open is no fault where UDP is blocked.
    assert.deepEqual(tab.faults.filter((text) => transport === "webtransport" || !text.includes("/wt")), []);
  }
  await here.close();
  await there.close();
}

/** On a page of `gogochat dev`, over WebTransport. */
export async function overWebTransport(t, startBrowser) {
  const server = await startDev();
  t.after(server.stop);
  const browser = await startBrowser();
  t.after(browser.close);
  await conversation(browser, server.page, "webtransport");
}

/** On an https page, with UDP blocked: over wss. `startBrowser` gets the certificate that the page has. */
export async function overWss(t, startBrowser) {
  const certs = testCertificate();
  t.after(certs.remove);
  const hole = await udpBlackHole();
  t.after(hole.close);
  const server = await startServe({ ...certs, webtransportUrl: `https://localhost:${hole.port}/wt` });
  t.after(server.stop);
  const browser = await startBrowser(certs);
  t.after(browser.close);
  await conversation(browser, server.page, "websocket");
  assert.ok(hole.state.dropped > 0, "WebTransport was never tried");
}
