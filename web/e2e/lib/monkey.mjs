// A monkey at the page: what it does follows from a seed. It has two tabs of one device, and
// somebody at the other end; it types, sends,
// walks about, reloads, closes, goes offline, kills the server, turns the clock, clears the
// storage. Whatever it does, no text is
// lost or doubled, the order is that of writing, the focus stays with whoever types, and no error is thrown.

import assert from "node:assert/strict";
import { newName, register, seeText } from "./people.mjs";
import { connect, until } from "./sdk.mjs";

/** Numbers in [0, below) that follow from the seed (mulberry32). */
function dice(seed) {
  let state = seed >>> 0;
  return (below) => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), state | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) % below;
  };
}

/** So often each is done, of 100. */
const WEIGHTS = { write: 26, half: 12, hear: 14, walk: 12, settings: 6, reload: 6, reopen: 6, offline: 4, kill: 3, clock: 4, clear: 2, resize: 5 };

/** Lets the monkey do so many things; what it did, for a report. */
export async function monkey({ server, browser }, seed, actions) {
  const random = dice(seed);
  const device = await browser.device();
  const did = [];
  const faults = [];
  let nth = 0;
  let down = false;
  let offline = false;

  const open = async (url) => {
    const tab = await device.open(url);
    tab.faults.push = (...found) => {
      // What the browser says of a server that is not there is no fault of the page's.
      faults.push(...found.filter((fault) => !/net::ERR|Failed to load resource|WebSocket connection|Failed to fetch/.test(fault)));
      return 0;
    };
    return tab;
  };
  const tabs = [await open(server.page)];
  const annName = newName("ann");
  await register(tabs[0], annName, "Ann");
  const bob = await connect(server.page, newName("bob"), "Bob");
  try {
    const [person] = await bob.findPeople(annName);
    await bob.requestContact(person, "hello");
    await tabs[0].click("nav-contacts");
    await tabs[0].click("accept");
    await tabs[0].see("composer");
    await until(() => bob.conversations.get().length === 1);
    const id = bob.conversations.get()[0].id;
    const url = `${server.page}/#/chats/${id}`;
    const timeline = bob.timeline(id);
    const heardBy = (who) => timeline.items.get().filter((item) => item.senderId === who && item.body.kind === "message").map((item) => item.body.text);
    tabs.push(await open(url));
    await tabs[1].see("composer");
    const [written, heard] = [[], []];
    /** What stands in the composer and was not sent. */
    let draft = "";

    const any = () => tabs[random(tabs.length)];
    /**
     * All of the page is there: what is cut off in the middle of loading has nothing but a button
     * to reload.
     */
    const loaded = (tab) => tab.see(".shell", ":not(.skeleton)", 30_000);
    const chat = async (tab) => {
      if (!(await tab.run(() => document.querySelector('[data-testid="composer"]') !== null))) {
        await tab.run(([hash]) => {
          location.hash = hash;
        }, `#/chats/${id}`);
      }
      await tab.see("composer", "", 30_000);
    };
    const composes = async (tab, text) => {
      const now = () => tab.run(() => document.querySelector('[data-testid="composer"]')?.value);
      for (let i = 0; i < 100 && (await now()) !== text; i++) await new Promise((resolve) => setTimeout(resolve, 50));
      assert.equal(await now(), text, "the draft is not what was written");
    };
    const type = async (tab, text) => {
      await chat(tab);
      await tab.page.focus('[data-testid="composer"]');
      // What was begun in another tab is here too.
      await composes(tab, draft);
      await tab.page.keyboard.press("End");
      await tab.page.keyboard.type(text, { delay: random(3) * 15 });
      assert.equal(await tab.run(() => document.activeElement?.dataset.testid), "composer", "the focus went away from who types");
      draft += text;
      assert.equal(await tab.page.inputValue('[data-testid="composer"]'), draft, "a text was lost while it was typed");
    };
    const acts = {
      write: async () => {
        const tab = any();
        await type(tab, `a${++nth}`);
        written.push(draft);
        draft = "";
        await tab.press("Enter");
      },
      half: () => type(any(), `h${++nth} `),
      hear: async () => {
        heard.push(`b${++nth}`);
        bob.send(id, heard.at(-1));
      },
      walk: async () => {
        const tab = any();
        await tab.run(([hash]) => {
          location.hash = hash;
        }, ["#/chats", `#/contacts/${id}`, "#/settings", `#/chats/${id}`][random(4)]);
      },
      settings: async () => {
        const tab = any();
        await tab.run(() => {
          location.hash = "#/settings";
        });
        await tab.page.locator(`[data-testid="theme-${["system", "light", "dark"][random(3)]}"]`).check({ force: true });
      },
      reload: async () => {
        // The page comes from the server: without one there is nothing to reload.
        if (down || offline) return;
        const tab = any();
        await tab.reload();
        await loaded(tab);
      },
      reopen: async () => {
        if (down || offline) return;
        const at = random(tabs.length);
        await tabs[at].close();
        tabs[at] = await open(url);
        await loaded(tabs[at]);
      },
      offline: async () => {
        offline = !offline;
        await device.context.setOffline(offline);
      },
      kill: async () => {
        if (down) await server.again();
        else await server.kill();
        down = !down;
      },
      clock: async () => {
        const by = (random(5) - 2) * 43_200_000;
        await any().run(([ms]) => {
          const real = (globalThis.realNow ??= Date.now.bind(Date));
          Date.now = () => real() + ms;
        }, by);
      },
      clear: async () => {
        const tab = tabs[0];
        await tab.run(
          () =>
            new Promise((resolve) => {
              localStorage.clear();
              indexedDB.databases().then(([found]) => {
                if (!found) return resolve();
                const request = indexedDB.deleteDatabase(found.name);
                request.onsuccess = request.onblocked = () => resolve();
              });
            }),
        );
        // Whoever closes the page in this very moment loses what the browser has thrown away; else
        // it is kept again.
        await tab.until(async () => localStorage.getItem("gogochat.signed-in") !== null && (await indexedDB.databases()).length > 0, undefined, 60_000);
      },
      resize: async () => any().page.setViewportSize([{ width: 390, height: 700 }, { width: 800, height: 600 }, { width: 1280, height: 800 }][random(3)]),
    };
    const bag = Object.entries(WEIGHTS).flatMap(([name, weight]) => Array(weight).fill(name));
    const say = (name) => did.push(`${did.length} ${name}`);
    try {
      for (let i = 0; i < actions; i++) {
        const name = bag[random(bag.length)];
        say(name);
        await acts[name]();
        // Neither lasts: what is done without a server is done soon.
        if (down && random(3) === 0) await acts.kill();
        if (offline && random(3) === 0) await acts.offline();
        assert.deepEqual(faults, []);
      }
      say("rest");
      if (down) await acts.kill();
      if (offline) await acts.offline();
      // Half a thought is still there.
      await chat(tabs[0]);
      await composes(tabs[0], draft);
      await until(() => heardBy(person.id).length >= written.length && bob.waiting.get() === 0, 90_000);
      assert.deepEqual(heardBy(person.id), written, "what was written is there once, in the order of writing");
      for (const tab of tabs) {
        await chat(tab);
        if (heard.length > 0) {
          await tab.page.locator('[data-testid="jump-newest"]').click({ timeout: 1_000 }).catch(() => {});
          const last = timeline.items.get().at(-1);
          await seeText(tab, last.body.text, 60_000);
        }
      }
      assert.deepEqual(heardBy(bob.me.id), heard);
      assert.deepEqual(faults, []);
    } catch (error) {
      error.message = `seed ${seed}, after ${did.slice(-12).join(", ")}: ${error.message}`;
      throw error;
    }
    return { written: written.length, heard: heard.length };
  } finally {
    if (down) await server.again();
    await bob.close();
    await device.close();
  }
}
