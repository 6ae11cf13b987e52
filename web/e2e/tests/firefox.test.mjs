// Two people and 200 messages in Firefox, by each transport.

import { test } from "node:test";
import { startFirefox } from "../lib/browsers.mjs";
import { overWebTransport, overWss } from "../lib/conversation.mjs";

test("Firefox over WebTransport", async (t) => {
  await overWebTransport(t, startFirefox);
});

test("Firefox on an https page over wss, with UDP blocked", async (t) => {
  await overWss(t, () => startFirefox({ acceptInsecureCerts: true }));
});
