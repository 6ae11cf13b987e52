// Two people and 200 messages in Chromium, by each transport.

import { test } from "node:test";
import { startChromium } from "../lib/browsers.mjs";
import { overWebTransport, overWss } from "../lib/conversation.mjs";

test("Chromium over WebTransport", async (t) => {
  await overWebTransport(t, startChromium);
});

test("Chromium on an https page over wss, with UDP blocked", async (t) => {
  await overWss(t, ({ spki }) => startChromium({ args: [`--ignore-certificate-errors-spki-list=${spki}`] }));
});
