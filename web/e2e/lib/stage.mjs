// What most tests stand on: one server and one Chromium for all tests of a file, and two people who
// are contacts.

import { after, before } from "node:test";
import { startChromium } from "./browsers.mjs";
import { befriend, newName, register } from "./people.mjs";
import { startDev } from "./server.mjs";

/** Starts both before the file's tests and ends them after. Each test has devices and people of its own. */
export function stage() {
  const on = { server: undefined, browser: undefined };
  before(async () => {
    on.server = await startDev();
    on.browser = await startChromium();
  });
  after(async () => {
    await on.browser?.close();
    await on.server?.stop();
  });
  /**
   * Ann and Bob, each on a device of their own, with their conversation open. `prepare` is given
   * Ann's device before it opens a page.
   */
  on.pair = async (t, prepare = async () => {}) => {
    const [here, there] = await Promise.all([on.browser.device(), on.browser.device()]);
    t.after(() => Promise.all([here.close(), there.close()]));
    await prepare(here);
    const [ann, bob] = await Promise.all([here.open(on.server.page), there.open(on.server.page)]);
    const [annName, bobName] = [newName("ann"), newName("bob")];
    await Promise.all([register(ann, annName, "Ann"), register(bob, bobName, "Bob")]);
    await befriend(ann, bob, bobName, "It is Ann.");
    return { here, there, ann, bob, annName, bobName };
  };
  return on;
}
