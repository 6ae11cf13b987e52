// The server has another certificate, as `dev` has every two weeks: a page that is open learns its
// hash and goes on over WebTransport.

import assert from "node:assert/strict";
import { rmSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { startChromium } from "../lib/browsers.mjs";
import { connectedBy, newName, register } from "../lib/people.mjs";
import { startDev } from "../lib/server.mjs";

const hash = async (server) => (await (await fetch(`${server.page}/client-config.json`)).json()).certificateHash;

test("the certificate is another one while the page is open", async (t) => {
  const server = await startDev();
  t.after(server.stop);
  const browser = await startChromium();
  t.after(browser.close);
  const device = await browser.device();
  const ann = await device.open(server.page);
  await register(ann, newName("ann"), "Ann");
  await connectedBy(ann, "webtransport");
  const before = await hash(server);

  await server.kill();
  await ann.see("transport", '[data-transport="offline"]', 20_000);
  for (const file of ["cert.pem", "key.pem"]) rmSync(join(server.data, file));
  await server.again();
  assert.notEqual(await hash(server), before);
  // Nobody loads the page anew.
  await connectedBy(ann, "webtransport", 60_000);
});
