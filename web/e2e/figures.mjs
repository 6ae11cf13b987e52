// Measures the page in Chromium by its trace, and writes docs/benchmarks/page.json and page.md:
// `npm run figures -- CONVERSATIONS MESSAGES`, by default 10,000 and 50,000. GOGOCHAT_BIN names the server.

import { execFileSync } from "node:child_process";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { cpus, loadavg } from "node:os";
import { fileURLToPath } from "node:url";
import { startChromium } from "./lib/browsers.mjs";
import { newName, register, seeText } from "./lib/people.mjs";
import { connect, until } from "./lib/sdk.mjs";
import { startDev } from "./lib/server.mjs";
import { heapBytes, quantile, traced } from "./lib/trace.mjs";

const [conversations = 10_000, messages = 50_000] = process.argv.slice(2).map(Number);
const FEW = Math.min(3_000, messages);
const docs = (name) => fileURLToPath(new URL(`../../docs/benchmarks/${name}`, import.meta.url));
const figures = [];
const note = (what, aim, value, unit, details = "") => {
  figures.push({ what, aim, value: Number(value.toPrecision(3)), unit, details });
  console.log(`${what}: ${value.toPrecision(3)} ${unit} ${details}`);
};
/** Main thread in a second of rest: timers, and the tracing itself. */
const CALM_MS = 40;
const thousand = (n) => n.toLocaleString("en");

const server = await startDev();
const browser = await startChromium({ args: ["--js-flags=--expose-gc"] });
try {
  const device = await browser.device();
  const annName = newName("ann");
  let ann = await device.open(server.page);
  await register(ann, annName, "Ann");
  const bob = await connect(server.page, newName("bob"), "Bob");
  const [person] = await bob.findPeople(annName);
  await bob.requestContact(person, "");
  await ann.click("nav-contacts");
  await ann.click("accept");
  await ann.see("composer");
  await ann.run(() => {
    location.hash = "#/chats";
  });

  // What a long life of a device has gathered, written by somebody over the real server.
  const groups = [];
  let next = 0;
  const make = async () => {
    while (next < conversations) {
      const nth = next++;
      // A server that is busy says so.
      while (!groups[nth]) groups[nth] = await bob.createGroup(`group ${nth}`, [person.id]).catch((error) => (error.retryAfterMs > 0 ? undefined : Promise.reject(error)));
      if (nth % 1_000 === 999) console.error(`${nth + 1} conversations`);
    }
  };
  await Promise.all(Array.from({ length: 48 }, make));
  const write = async (id, count) => {
    for (let i = 0; i < count; i++) {
      bob.send(id, `message ${i} of those that somebody may look for one day`);
      if (i % 500 === 499) await until(() => bob.waiting.get() < 500, 600_000);
    }
    await until(() => bob.waiting.get() === 0, 600_000);
  };
  const [few, many, other] = groups;
  await write(few, FEW);
  await write(many, messages);
  bob.markRead(few, bob.conversation(few).lastSeq);
  await ann.see("chat-row", `[data-id="${many}"]`, 120_000);
  await ann.close();

  // Time to interactive: from the navigation on until the list of conversations can be used.
  for (const [what, open] of [
    ["log-in page", async () => (await browser.device()).open("about:blank")],
    [`${thousand(conversations)} conversations, kept by the device`, () => device.open("about:blank")],
  ]) {
    const took = [];
    const busy = [];
    for (let i = 0; i < 5; i++) {
      const tab = await open();
      const { ms } = await traced(tab, async () => {
        await tab.goto(`${server.page}/#/chats`);
        await tab.page.waitForSelector('[data-testid="submit"], [data-testid="chat-row"]', { timeout: 60_000 });
        took.push(await tab.run(() => new Promise((resolve) => requestAnimationFrame(() => setTimeout(() => resolve(performance.now()), 0)))));
      });
      busy.push(ms);
      if (i < 4) await tab.close();
      else if (what !== "log-in page") ann = tab;
    }
    note(`time to interactive, ${what}`, "", quantile(took, 0.5), "ms", `worst of 5 ${Math.round(Math.max(...took))} ms; ${Math.round(quantile(busy, 0.5))} ms of main thread`);
  }
  await ann.see("transport", '[data-transport="webtransport"]', 60_000).catch(() => {});

  // Opening: from the click until the messages are painted. Nothing of them is in the page before.
  const idle = () => ann.run(() => new Promise((resolve) => requestIdleCallback(resolve, { timeout: 5_000 })));
  for (const [id, count] of [
    [few, FEW],
    [many, messages],
  ]) {
    const took = [];
    const busy = [];
    for (let i = 0; i < 5; i++) {
      await ann.reload();
      await ann.see("chat-row", "", 60_000);
      await idle();
      const { ms, result } = await traced(ann, () =>
        ann.run(async ([wanted]) => {
          const began = performance.now();
          location.hash = `#/chats/${wanted}`;
          while (!document.querySelector('[data-testid="text"]')) await new Promise((resolve) => setTimeout(resolve, 1));
          await new Promise((resolve) => requestAnimationFrame(() => setTimeout(resolve, 0)));
          return performance.now() - began;
        }, id),
      );
      took.push(result);
      busy.push(ms);
      await ann.run(() => {
        location.hash = "#/chats";
      });
    }
    note(`opening a conversation of ${thousand(count)} messages, cold`, "<= 200", quantile(took, 0.5), "ms", `worst of 5 ${Math.round(Math.max(...took))} ms; ${Math.round(quantile(busy, 0.5))} ms of main thread`);
  }

  /** What is fetched after a page has opened is over: a second in which hardly anything is done. */
  const calmed = async () => {
    for (let i = 0; i < 60; i++) if ((await traced(ann, () => ann.page.waitForTimeout(1_000))).ms < CALM_MS) return;
    throw new Error("the page does not come to rest");
  };

  // A keystroke, in the largest conversation.
  await ann.run(([id]) => {
    location.hash = `#/chats/${id}`;
  }, many);
  await ann.see("composer");
  await ann.page.focus('[data-testid="composer"]');
  await calmed();
  const text = "what a person writes in a quiet moment, letter by letter ";
  const keys = await traced(ann, () => ann.page.keyboard.type(text, { delay: 40 }));
  const dispatched = keys.events.filter((event) => event.name === "EventDispatch" && /^key(down|press|up)$|^input$/.test(event.args?.data?.type ?? ""));
  const perKey = keys.tasks.filter((task) => dispatched.some((event) => event.ts / 1_000 >= task.at && event.ts / 1_000 <= task.at + task.ms + 50)).map((task) => task.ms);
  note("a keystroke, all of its main thread", "<= 16", keys.ms / text.length, "ms", `longest task ${quantile(perKey, 1).toFixed(1)} ms`);
  await ann.page.fill('[data-testid="composer"]', "");

  // A new message, in a conversation that is not open and in the open one: what is spent beyond idling.
  const COUNT = 100;
  await calmed();
  const calm = await traced(ann, () => ann.page.waitForTimeout(COUNT * 50));
  for (const [what, id] of [
    ["elsewhere", other],
    ["in the open conversation", many],
  ]) {
    const send = async () => {
      for (let i = 0; i < COUNT; i++) {
        bob.send(id, `new ${i}`);
        await ann.page.waitForTimeout(50);
      }
      await until(() => bob.waiting.get() === 0);
      await ann.see("chat-row", `[data-id="${id}"]`);
      await ann.until(([wanted, last]) => document.querySelector(`[data-testid="chat-row"][data-id="${wanted}"]`)?.textContent.includes(last), [id, `new ${COUNT - 1}`]);
    };
    const { ms, tasks } = await traced(ann, send);
    note(`a new message ${what}, with ${thousand(conversations)} conversations`, "<= 4", Math.max(0, ms - calm.ms) / COUNT, "ms", `of main thread; longest task ${quantile(tasks.map((task) => task.ms), 1).toFixed(1)} ms`);
  }

  // The heap, with all of it, and when the first of the messages has been looked for.
  await idle();
  note(`heap, ${thousand(conversations)} conversations and one of ${thousand(messages)} messages open`, "<= 150", (await heapBytes(ann)) / 2 ** 20, "MiB");
  await ann.run(async () => {
    const box = document.querySelector('[data-testid="timeline"]');
    const until = performance.now() + 120_000;
    for (let still = 0; still < 20 && performance.now() < until; ) {
      const before = box.scrollTop;
      box.scrollTop = Math.max(0, before - 20 * box.clientHeight);
      await new Promise((resolve) => setTimeout(resolve, 20));
      still = box.scrollTop === 0 && before === 0 && !document.querySelector(".older.late") ? still + 1 : 0;
    }
  });
  await seeText(ann, "message 0 of those that somebody may look for one day", 60_000);
  note("heap, after scrolling to the first message", "<= 150", (await heapBytes(ann)) / 2 ** 20, "MiB");
  if (ann.faults.length > 0) throw new Error(ann.faults.join("\n"));
  await bob.close();
} finally {
  await browser.close();
  await server.stop();
}

const command = (...words) => execFileSync(words[0], words.slice(1), { encoding: "utf8" }).trim();
const about = {
  date: new Date().toISOString().slice(0, 10),
  commit: command("git", "rev-parse", "--short=12", "HEAD"),
  machine: `${cpus()[0]?.model.trim()}, ${cpus().length} cores`,
  browser: command("sh", "-c", `${process.env.CHROMIUM ?? "/usr/bin/chromium"} --version 2>/dev/null`),
  /** Of 15 minutes: what else the machine had to do. */
  load: Math.round(loadavg()[2]),
  conversations,
  messages,
};
writeFileSync(docs("page.json"), `${JSON.stringify({ ...about, figures }, null, 2)}\n`);
const rows = figures.map(({ what, aim, value, unit, details }) => `| ${what} | ${aim} | **${value}** ${unit} | ${details} |`);
writeFileSync(
  docs("page.md"),
  `# The page in a browser

Written by \`npm run figures -w e2e\` in \`web/\`. ${about.date}, commit ${about.commit}, ${about.browser}, ${about.machine}, load ${about.load}. A person
of ${thousand(conversations)} conversations, one of them with ${thousand(messages)} messages, all written over a real server by another client.
Main thread: processor time of the tasks of the page's main thread in Chromium's own trace. Times of waiting are of the clock,
server and writer on the same machine.

| what | aim | measured | details |
|---|---|---|---|
${rows.join("\n")}
${monkeys()}`,
);

/** What the monkey did by command: a line a seed in monkey.jsonl. */
function monkeys() {
  if (!existsSync(docs("monkey.jsonl"))) return "";
  const runs = readFileSync(docs("monkey.jsonl"), "utf8").trim().split("\n").map((line) => JSON.parse(line));
  const sum = (key) => thousand(runs.reduce((total, run) => total + (run[key] ?? 0), 0));
  return `
## The monkey

\`npm run monkey -w e2e\`; each seed is a line of [monkey.jsonl](monkey.jsonl).

${runs.length} seeds, ${sum("actions")} actions, ${sum("written")} messages written and ${sum("heard")} heard. ${runs.filter((run) => run.failed).length} seeds failed.
`;
}
