// What people do with the page, step by step.

import assert from "node:assert/strict";

/** Of everybody who registers through the page. */
export const PASSWORD = "correct horse battery";
let nth = 0;

/** A name that nobody has. */
export function newName(stem) {
  nth += 1;
  return `${stem}${Date.now().toString(36)}${nth}`;
}

/** Creates an account through the page. */
export async function register(tab, name, displayName) {
  await tab.click("turn");
  await tab.fill('[name="name"]', name);
  await tab.fill('[name="displayName"]', displayName);
  await tab.fill('[name="password"]', PASSWORD);
  await tab.click("submit");
  await tab.see("nav-chats", "", 30_000);
}

/** Logs in through the page. */
export async function logIn(tab, name) {
  await tab.see("submit");
  await tab.fill('[name="name"]', name);
  await tab.fill('[name="password"]', PASSWORD);
  await tab.click("submit");
  await tab.see("nav-chats", "", 30_000);
}

/** One asks, the other accepts; both have the conversation open afterwards. */
export async function befriend(asker, accepter, accepterName, note) {
  await asker.click("nav-contacts");
  await asker.fill("find", accepterName);
  await asker.click("add");
  await asker.fill('[name="note"]', note);
  await asker.click("ask");
  await accepter.click("nav-contacts");
  await accepter.until((text) => document.querySelector('[data-testid="contacts"]')?.textContent?.includes(text), note);
  await accepter.click("accept");
  await accepter.see("chat");
  await asker.click("nav-chats");
  await asker.click("chat-row");
  await asker.see("chat");
}

/**
 * Waits until the page is connected by this transport. It shows that only where the connection is
 * not good.
 */
export async function connectedBy(tab, transport, timeout) {
  await tab.until((by) => document.querySelector('[data-testid="transport"]')?.dataset.transport === by, transport, timeout);
}

/** The texts that the page has drawn, in order, with the state of each. */
export function drawn(tab) {
  return tab.run(() =>
    [...document.querySelectorAll('[data-testid="message"]')]
      .map((m) => ({
        seq: Number(m.dataset.seq),
        text: m.querySelector('[data-testid="text"]').textContent,
        state: m.dataset.state ?? "",
        top: m.getBoundingClientRect().top,
      }))
      .sort((a, b) => a.top - b.top)
      .map(({ seq, text, state }) => ({ seq, text, state })),
  );
}

/** Waits until a text stands in the timeline. */
export async function seeText(tab, text, timeout) {
  await tab.until(
    (wanted) => [...document.querySelectorAll('[data-testid="text"]')].some((e) => e.textContent === wanted),
    text,
    timeout,
  );
}

/** Waits until everything drawn has its place in the log. */
export async function settled(tab, timeout) {
  await tab.until(() => [...document.querySelectorAll('[data-testid="message"]')].every((m) => m.dataset.seq !== "0"), undefined, timeout);
}

/**
 * Scrolls from the newest message to the first and gathers every text by its place in the log: what
 * a person would find.
 */
export async function history(tab) {
  const found = await tab.run(async () => {
    const seen = new Map();
    const box = document.querySelector('[data-testid="timeline"]');
    const frame = () => new Promise((resolve) => requestAnimationFrame(() => setTimeout(resolve, 15)));
    const take = () => {
      for (const m of document.querySelectorAll('[data-testid="message"]')) {
        const seq = Number(m.dataset.seq);
        const text = m.querySelector('[data-testid="text"]').textContent;
        const texts = seen.get(seq) ?? new Set();
        seen.set(seq, texts.add(text));
      }
    };
    box.scrollTop = box.scrollHeight;
    await frame();
    for (let still = 0; still < 20; ) {
      take();
      const before = box.scrollTop;
      box.scrollTop = Math.max(0, before - box.clientHeight / 2);
      await frame();
      // What could not be loaded is asked for again, as a person would.
      document.querySelector(".older.bad button")?.click();
      // Not the top yet while older ones are loading.
      const top = box.scrollTop === 0 && before === 0 && !document.querySelector(".older");
      still = top ? still + 1 : 0;
    }
    take();
    return [...seen].sort(([a], [b]) => a - b).map(([seq, texts]) => [seq, [...texts]]);
  });
  for (const [seq, texts] of found) assert.equal(texts.length, 1, `place ${seq} has two texts: ${texts}`);
  return found.map(([seq, [text]]) => ({ seq, text }));
}

/** Waits until so many messages are kept in the browser's own storage. */
export async function kept(tab, count) {
  await tab.until(async (wanted) => {
    const [{ name }] = await indexedDB.databases();
    const database = await new Promise((resolve) => {
      indexedDB.open(name).onsuccess = (event) => resolve(event.target.result);
    });
    const found = await new Promise((resolve) => {
      database.transaction("outbox").objectStore("outbox").count().onsuccess = (event) => resolve(event.target.result);
    });
    database.close();
    return found === wanted;
  }, count);
}

/** To the end of the timeline. */
export async function toNewest(tab) {
  await tab.run(() => {
    const box = document.querySelector('[data-testid="timeline"]');
    box.scrollTop = box.scrollHeight;
  });
}

/** One writes on until the other sees it: a single word of it may be lost, as datagrams are. */
async function typingShows(from, to, text) {
  for (let pause = 0; ; pause++) {
    try {
      return await to.see("subtitle", '[data-typing="true"]', 2_000);
    } catch (error) {
      if (pause === 4) throw error;
      await from.fill("composer", `${text}${".".repeat(pause + 1)}`);
      await from.fill("composer", text);
    }
  }
}

/**
 * Both write so many messages in turn; typing and read marks have to show on the way. The texts in
 * the order they were written.
 */
export async function exchange(ann, bob, count) {
  const marks = { typing: 0, read: 0 };
  for (let i = 0; i < count; i++) {
    for (const [from, to, name] of [
      [ann, bob, "ann"],
      [bob, ann, "bob"],
    ]) {
      const text = `${name} ${i}`;
      await from.fill("composer", text);
      if (i % 25 === 0) {
        await typingShows(from, to, text);
        marks.typing++;
      }
      await from.press("Enter");
      await seeText(to, text);
      if (i % 25 === 0) {
        await from.until(
          (wanted) =>
            [...document.querySelectorAll('[data-testid="message"][data-state="read"] [data-testid="text"]')].some(
              (e) => e.textContent === wanted,
            ),
          text,
        );
        marks.read++;
      }
    }
  }
  return marks;
}
