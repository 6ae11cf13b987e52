import { describe, expect, it } from "vitest";
import type { Client } from "../src/client.ts";
import { MemoryStorage } from "../src/storage/memory.ts";
import { Browser } from "./browser.ts";
import { texts, World } from "./world.ts";

/** Ann with tabs in one browser, and Bob elsewhere; they have a conversation. */
async function setUp(count: number) {
  const world = new World();
  world.peer.token("ann", "-");
  world.peer.token("bob", "-");
  world.peer.chat("c", false, "ann", "bob");
  const browser = new Browser();
  const storage = new MemoryStorage();
  // One database: tabs that close leave it open to the others.
  const open = async () => {
    const opening = world.tab(browser, "ann", "a1", storage);
    return { client: await opening, tab: opening.tab };
  };
  const tabs: Awaited<ReturnType<typeof open>>[] = [];
  for (let i = 0; i < count; i++) tabs.push(await open());
  for (const { client } of tabs) {
    await world.clock.until(() => client.connection.get().status === "online" && client.conversation("c") !== undefined);
    client.timeline("c");
  }
  await world.clock.advance(100);
  const sessions = () => [...world.peer.sessions].filter((session) => session.user === "ann").length;
  const online = (client: Client) => world.clock.until(() => client.connection.get().status === "online", 10_000);
  return { world, browser, storage, open, tabs, sessions, online };
}

const seen = (client: Client) => texts(client.timeline("c").items.get());

describe("tabs of one device", () => {
  it("share one session, over which all of them call and hear", async () => {
    const { world, tabs, sessions } = await setUp(3);
    const clients = tabs.map(({ client }) => client);
    expect(sessions()).toBe(1);
    expect(clients.map((client) => client.leading)).toEqual([true, false, false]);
    world.peer.say("c", "bob", "hi");
    await world.clock.until(() => clients.every((client) => seen(client).includes("hi")), 200);
    for (const [i, client] of clients.entries()) {
      client.send("c", `from ${i}`);
      // Shown in every tab at once.
      await world.clock.advance(0);
    }
    for (const client of clients) expect(seen(client).slice(1)).toEqual(["from 0", "from 1", "from 2"]);
    await world.clock.until(() => clients.every((client) => client.waiting.get() === 0), 200);
    expect(world.peer.texts("c")).toEqual(["hi", "from 0", "from 1", "from 2"]);
    const refused = clients[2]?.leaveGroup("nowhere").catch((error) => error);
    await world.clock.advance(50);
    expect(await refused).toMatchObject({ name: "GogochatError", code: "not_a_member" });
    expect(sessions()).toBe(1);
  });

  it("hand the session over when the one that has it ends, and what it had queued is sent once, in order", async () => {
    const { world, tabs, sessions, online } = await setUp(3);
    const [one, two, three] = tabs;
    if (!one || !two || !three) throw new Error("three tabs");
    // The server is away: both write, and the leader is killed.
    world.webtransport.refused = world.websocket.refused = true;
    world.webtransport.cut();
    await world.clock.advance(100);
    for (const [client, text] of [[one.client, "1 of one"], [two.client, "1 of two"], [one.client, "2 of one"]] as const) {
      client.send("c", text);
      await world.clock.advance(0);
    }
    one.tab.crash();
    world.webtransport.refused = world.websocket.refused = false;
    const took = await world.clock.until(() => two.client.waiting.get() === 0 && three.client.waiting.get() === 0, 5_000);
    expect(took).toBeLessThan(5_000);
    await online(three.client);
    // The crashed one still believes that it leads; its session is nobody's.
    expect(world.peer.texts("c")).toEqual(["1 of one", "1 of two", "2 of one"]);
    expect([two.client.leading, three.client.leading]).toEqual([true, false]);
    await two.client.close();
    await online(three.client);
    three.client.send("c", "3");
    await world.clock.until(() => three.client.waiting.get() === 0, 1_000);
    expect(world.peer.texts("c").at(-1)).toBe("3");
    await world.clock.advance(3_500);
    // Of the crashed tab and of the last.
    expect(sessions()).toBeLessThanOrEqual(2);
  });

  it("close in any order while messages are under way, and lose and double nothing", async () => {
    const { world, tabs, open, online } = await setUp(2);
    const said: string[] = [];
    const saidBy = new Map<unknown, string[]>();
    const living = [...tabs];
    for (let round = 0; round < 12; round++) {
      for (const { client } of living) {
        for (let i = 0; i < 3; i++) {
          const text = `${round} ${said.length}`;
          said.push(text);
          saidBy.set(client, [...(saidBy.get(client) ?? []), text]);
          client.send("c", text);
        }
      }
      await world.clock.advance(round % 3);
      const [closing] = living.splice(round % living.length, 1);
      if (round % 2 === 0) await closing?.client.close();
      else closing?.tab.crash();
      living.push(await open());
    }
    const [last] = living;
    if (!last) throw new Error("none is left");
    await online(last.client);
    await world.clock.until(() => living.every(({ client }) => client.waiting.get() === 0), 10_000);
    const sent = world.peer.texts("c");
    expect([...sent].sort()).toEqual([...said].sort());
    for (const texts of saidBy.values()) expect(sent.filter((text) => texts.includes(text))).toEqual(texts);
  });

  it("do not leave the lead to a frozen or hidden tab while a person sees another", async () => {
    const { world, tabs, sessions, online } = await setUp(2);
    const [one, two] = tabs;
    if (!one || !two) throw new Error("two tabs");
    two.client.attentive = false;
    one.client.attentive = false;
    await world.clock.advance(20_000);
    expect(one.client.leading).toBe(true);
    two.client.attentive = true;
    await world.clock.until(() => two.client.leading, 4_000);
    await world.clock.until(() => two.client.connection.get().status === "online" && sessions() === 1, 1_000);
    expect(one.client.leading).toBe(false);
    await online(one.client);

    // Frozen it gives up the lead, and follows again when it is thawed.
    two.client.attentive = false;
    two.tab.freeze();
    await world.clock.until(() => one.client.leading, 200);
    await online(one.client);
    one.client.send("c", "while frozen");
    await world.clock.until(() => one.client.waiting.get() === 0, 1_000);
    two.tab.thaw();
    two.client.attentive = true;
    // The other is hidden, this one seen.
    await world.clock.until(() => two.client.leading && seen(two.client).includes("while frozen"), 6_000);
    expect(seen(two.client)).toEqual(["while frozen"]);
  });

  it("take the lead from one that says nothing", async () => {
    const { world, tabs } = await setUp(2);
    const [one, two] = tabs;
    if (!one || !two) throw new Error("two tabs");
    // Frozen without an event, as by a debugger: the lock stays held.
    one.tab.post = () => {};
    two.client.send("c", "anybody?");
    await world.clock.until(() => two.client.waiting.get() === 0, 5_000);
    expect(two.client.leading).toBe(true);
    expect(world.peer.texts("c")).toEqual(["anybody?"]);
  });

  it("follow each other's read marks, retries and discards", async () => {
    const { world, tabs } = await setUp(2);
    const [one, two] = tabs;
    if (!one || !two) throw new Error("two tabs");
    world.peer.say("c", "bob", "hi");
    await world.clock.until(() => two.client.conversation("c")?.unread === 1, 200);
    two.client.markRead("c", 2);
    await world.clock.until(() => world.peer.chats.get("c")?.marks.get("ann")?.read === 2 && one.client.conversation("c")?.unread === 0, 1_500);

    let refusing = true;
    world.peer.refuse = () => (refusing ? { code: "text_too_long", retryAfterMs: 0 } : undefined);
    for (const text of ["a", "b"]) two.client.send("c", text);
    const failed = (client: Client) => client.timeline("c").items.get().filter((item) => item.state === "failed");
    await world.clock.until(() => failed(one.client).length === 2 && failed(two.client).length === 2, 200);
    one.client.discard("c", failed(one.client)[0]?.clientMsgId ?? "");
    await world.clock.advance(10);
    expect(failed(two.client).map((item) => item.body)).toEqual([{ kind: "message", text: "b" }]);
    refusing = false;
    two.client.retry("c", failed(two.client)[0]?.clientMsgId ?? "");
    await world.clock.until(() => world.peer.texts("c").includes("b"), 1_000);
    await world.clock.advance(50);
    expect(one.client.timeline("c").items.get().map((item) => item.state)).toEqual(["committed", "committed", "committed"]);
  });
});
