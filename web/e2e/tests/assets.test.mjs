// The page's files on the way to a browser: compressed as they were built, and fetched once.

import assert from "node:assert/strict";
import { test } from "node:test";
import { startChromium } from "../lib/browsers.mjs";
import { testCertificate } from "../lib/certs.mjs";
import { startDev, startServe } from "../lib/server.mjs";

/** Opens the log-in page. Returns the tab with the headers of each file that came with it, by the file's kind. */
async function openPage(device, url) {
  const tab = await device.open("about:blank");
  const files = new Map();
  const reading = [];
  tab.page.on("response", (response) => {
    const kind = response.request().resourceType();
    reading.push(response.allHeaders().then((headers) => files.set(kind, { status: response.status(), ...headers })));
  });
  await tab.goto(url);
  await tab.see("login");
  await Promise.all(reading);
  return { tab, files };
}

/** How the browser got each script and style, and over which version of HTTP. */
const transfers = (tab) =>
  tab.run(() =>
    performance
      .getEntriesByType("resource")
      .filter(({ name }) => name.includes("/assets/"))
      .map(({ transferSize, encodedBodySize, decodedBodySize, nextHopProtocol }) => ({ transferSize, encodedBodySize, decodedBodySize, nextHopProtocol })),
  );

function seeCompressed(files) {
  for (const [kind, cache] of [["document", "no-cache"], ["script", "public, max-age=31536000, immutable"], ["stylesheet", "public, max-age=31536000, immutable"]]) {
    const file = files.get(kind);
    assert.deepEqual([kind, file?.["content-encoding"], file?.["cache-control"], file?.vary], [kind, "br", cache, "accept-encoding"]);
  }
}

test("scripts and styles come as brotli, and not again after a reload", async (t) => {
  const server = await startDev();
  t.after(server.stop);
  const browser = await startChromium();
  t.after(browser.close);
  const { tab, files } = await openPage(await browser.device(), server.page);
  seeCompressed(files);
  const first = await transfers(tab);
  assert.ok(first.length >= 3, `${first.length} files`);
  for (const { transferSize, encodedBodySize, decodedBodySize } of first) {
    assert.ok(transferSize > 0 && encodedBodySize < decodedBodySize, `${encodedBodySize} of ${decodedBodySize} bytes`);
  }
  // Of a small file little can be saved.
  const [encoded, decoded] = ["encodedBodySize", "decodedBodySize"].map((size) => first.reduce((sum, file) => sum + file[size], 0));
  assert.ok(encoded < decoded / 2, `${encoded} of ${decoded} bytes`);
  await tab.reload();
  await tab.see("login");
  assert.deepEqual((await transfers(tab)).map(({ transferSize }) => transferSize), first.map(() => 0));
  assert.deepEqual(tab.faults, []);
});

test("they do over HTTP/3", async (t) => {
  const certs = testCertificate();
  t.after(certs.remove);
  const server = await startServe({ ...certs, webtransportUrl: "" });
  t.after(server.stop);
  // Not localhost: over QUIC Chromium tries only one of its addresses, which may be that of IPv6.
  const host = `127.0.0.1:${server.edge}`;
  const browser = await startChromium({ args: [`--ignore-certificate-errors-spki-list=${certs.spki}`, `--origin-to-force-quic-on=${host}`] });
  t.after(browser.close);
  const { tab, files } = await openPage(await browser.device(), `https://${host}`);
  seeCompressed(files);
  const first = await transfers(tab);
  assert.deepEqual(first.map(({ nextHopProtocol }) => nextHopProtocol), first.map(() => "h3"));
  assert.ok(first.length >= 3, `${first.length} files`);
});
