import { describe, expect, it } from "vitest";
import { Client } from "../src/client.ts";
import { MemoryStorage } from "../src/storage/memory.ts";
import { texts, World } from "./world.ts";

/** Two devices of two people in one conversation. */
async function pair(world = new World()) {
  world.peer.token("ann", "-");
  world.peer.token("bob", "-");
  world.peer.chat("c", false, "ann", "bob");
  const ann = await world.device("ann", "a1");
  const bob = await world.device("bob", "b1", new MemoryStorage(), {
    webtransport: world.path("webtransport"),
    websocket: world.path("websocket"),
  });
  await world.online(ann);
  await world.online(bob);
  await world.clock.until(() => ann.conversation("c") !== undefined && bob.conversation("c") !== undefined);
  ann.timeline("c");
  bob.timeline("c");
  await world.clock.advance(50);
  return { world, ann, bob };
}

const seen = (client: Client) => texts(client.timeline("c").items.get());
const states = (client: Client) => client.timeline("c").items.get().map((item) => item.state);

describe("sending", () => {
  it("shows a message at once, then committed, in one place", async () => {
    const { world, ann, bob } = await pair();
    ann.send("c", "hello");
    const key = ann.timeline("c").items.get().at(-1)?.key;
    expect(ann.timeline("c").items.get().at(-1)).toMatchObject({ state: "sending", seq: 0 });
    await world.clock.until(() => seen(bob).includes("hello"));
    await world.clock.advance(100);
    const items = ann.timeline("c").items.get();
    expect(items.filter((item) => item.key === key)).toMatchObject([{ state: "committed", seq: 2 }]);
    expect(ann.waiting.get()).toBe(0);
  });

  it("keeps the order of many, pipelined", async () => {
    const { world, ann, bob } = await pair();
    const said = Array.from({ length: 200 }, (_, i) => `m${i}`);
    for (const text of said) ann.send("c", text);
    const took = await world.clock.until(() => seen(bob).length === 200);
    expect(seen(bob)).toEqual(said);
    expect(seen(ann)).toEqual(said);
    // 200 round trips of 4 ms one after the other would be 800 ms.
    expect(took).toBeLessThan(100);
  });

  it("sends again what was refused for now, and nothing overtakes it", async () => {
    const { world, ann } = await pair();
    let refusals = 3;
    world.peer.refuse = (text) => (text === "m1" && refusals-- > 0 ? { code: "overloaded", retryAfterMs: 200 } : undefined);
    for (const text of ["m0", "m1", "m2", "m3"]) ann.send("c", text);
    await world.clock.until(() => ann.waiting.get() === 0);
    expect(world.peer.texts("c")).toEqual(["m0", "m1", "m2", "m3"]);
  });

  it("marks what the server will not take; the rest goes on, and a retry sends it", async () => {
    const { world, ann } = await pair();
    let refusing = true;
    world.peer.refuse = (text) => (text === "bad" && refusing ? { code: "text_too_long", retryAfterMs: 0 } : undefined);
    for (const text of ["m0", "bad", "m1"]) ann.send("c", text);
    await world.clock.until(() => world.peer.texts("c").length === 2);
    await world.clock.advance(100);
    expect(world.peer.texts("c")).toEqual(["m0", "m1"]);
    const failed = ann.timeline("c").items.get().at(-1);
    expect(failed).toMatchObject({ state: "failed", error: "text_too_long" });
    refusing = false;
    ann.retry("c", failed?.clientMsgId ?? "");
    await world.clock.until(() => world.peer.texts("c").length === 3);
    await world.clock.advance(100);
    expect(states(ann).every((state) => state === "committed")).toBe(true);
  });

  it("marks what no frame can hold, and keeps its session", async () => {
    const { world, ann } = await pair();
    ann.send("c", "x".repeat(64 * 1024));
    ann.send("c", "next");
    await world.clock.until(() => ann.waiting.get() === 0);
    await world.clock.advance(100);
    expect(world.peer.texts("c")).toEqual(["next"]);
    expect(ann.timeline("c").items.get().at(-1)).toMatchObject({ state: "failed", error: "body_too_large" });
  });

  it("drops a failed message when it is told to", async () => {
    const { world, ann } = await pair();
    world.peer.refuse = () => ({ code: "not_a_contact", retryAfterMs: 0 });
    ann.send("c", "bad");
    await world.clock.until(() => states(ann).includes("failed"));
    ann.discard("c", ann.timeline("c").items.get().at(-1)?.clientMsgId ?? "");
    expect(seen(ann)).toEqual([]);
  });

  it("says it once when the reply is lost", async () => {
    const { world, ann, bob } = await pair();
    world.peer.muteReplies = true;
    ann.send("c", "once");
    await world.clock.until(() => world.peer.texts("c").length === 1);
    world.peer.muteReplies = false;
    world.webtransport.cut();
    await world.clock.advance(20_000);
    expect(world.peer.texts("c")).toEqual(["once"]);
    expect(seen(ann)).toEqual(["once"]);
    expect(seen(bob)).toEqual(["once"]);
    expect(ann.waiting.get()).toBe(0);
  });

  it("lets go of what is committed far behind the end of the log, whatever the timeline shows", async () => {
    for (const acknowledged of [true, false]) {
      const { world, ann } = await pair();
      await ann.close();
      const storage = new MemoryStorage();
      const first = await world.device("ann", "a1", storage);
      await world.online(first);
      for (let i = 2; i <= 10; i++) world.peer.say("c", "bob", `m${i}`);
      first.timeline("c");
      await world.clock.until(() => seen(first).length === 9);
      world.webtransport.refused = true;
      world.websocket.refused = true;
      world.webtransport.cut();
      first.send("c", "mine");
      await world.clock.advance(100);
      await first.close();
      // It was committed by a session whose acknowledgement and events never came.
      const [entry] = (await storage.load()).outbox;
      const chat = world.peer.chats.get("c");
      if (!entry || !chat) throw new Error("nothing waits");
      world.peer.say("c", "bob", "m11");
      world.peer.append(chat, "ann", "a1", entry.clientMsgId, { case: "message", value: { text: "mine" } });
      for (let i = 13; i <= 700; i++) world.peer.say("c", "bob", `m${i}`);
      world.webtransport.refused = false;
      world.peer.muteReplies = !acknowledged;
      const second = await world.device("ann", "a1", storage);
      const timeline = second.timeline("c");
      await world.clock.until(() => second.conversation("c")?.lastSeq === 700);
      await world.clock.advance(1_000);
      await timeline.moveToNewest();
      expect(seen(second)).toContain("m700");
      if (!acknowledged) {
        // Without a reply it is known by its event, when somebody scrolls there.
        expect(second.waiting.get()).toBe(1);
        for (let i = 0; i < 7; i++) {
          const step = timeline.loadOlder();
          await world.clock.advance(20);
          await step;
        }
      }
      expect(second.waiting.get()).toBe(0);
      expect((await storage.load()).outbox).toEqual([]);
      expect(states(second).every((state) => state === "committed")).toBe(true);
      expect(timeline.items.get().at(-1)?.seq).toBe(700);
      expect(seen(second).filter((text) => text === "mine").length).toBe(acknowledged ? 0 : 1);
      // The next visit sends nothing again.
      await second.close();
      world.peer.calls.clear();
      const third = await world.device("ann", "a1", storage);
      await world.online(third);
      await world.clock.advance(1_000);
      expect(world.peer.calls.get("SendMessage") ?? 0).toBe(0);
      await third.close();
    }
  });

  it("repeats what was refused although its event has come: the server's lane waits for it", async () => {
    const { world, ann } = await pair();
    world.peer.muteReplies = true;
    world.webtransport.latency = 20;
    ann.send("c", "once");
    await world.clock.until(() => world.peer.texts("c").length === 1);
    // Cut before the event arrives; the repeat is refused, then what was missed brings the event.
    world.webtransport.cut();
    world.peer.muteReplies = false;
    world.peer.refuse = () => ({ code: "overloaded", retryAfterMs: 1_000 });
    await world.clock.until(() => seen(ann).length === 1 && ann.waiting.get() === 0);
    expect(states(ann)).toEqual(["committed", "committed"]);
    world.peer.refuse = () => undefined;
    ann.send("c", "next");
    await world.clock.until(() => world.peer.texts("c").length === 2, 5_000);
    await world.clock.advance(100);
    expect(seen(ann)).toEqual(["once", "next"]);
  });

  it("outlives the page: what was written without a connection goes out on the next visit", async () => {
    const world = new World();
    const { ann } = await pair(world);
    await ann.close();
    const storage = new MemoryStorage();
    const first = await world.device("ann", "a1", storage);
    await world.online(first);
    await world.clock.until(() => first.conversation("c") !== undefined);
    world.webtransport.refused = true;
    world.websocket.refused = true;
    world.webtransport.cut();
    for (const text of ["m0", "m1", "m2"]) first.send("c", text);
    await world.clock.advance(3_000);
    await first.close();
    world.webtransport.refused = false;
    const second = await world.device("ann", "a1", storage);
    expect(second.waiting.get()).toBe(3);
    second.timeline("c");
    await world.clock.until(() => second.waiting.get() === 0);
    await world.clock.advance(200);
    expect(world.peer.texts("c")).toEqual(["m0", "m1", "m2"]);
    expect(seen(second)).toEqual(["m0", "m1", "m2"]);
  });
});

describe("a conversation over paths that break", () => {
  it("loses nothing, repeats nothing, keeps the order: 20 seeds of cuts and silences", async () => {
    for (let seed = 1; seed <= 20; seed++) {
      let state = seed * 2654435761;
      const random = () => ((state = (state * 1103515245 + 12345) & 0x7fffffff), state / 0x7fffffff);
      const { world, ann, bob } = await pair();
      const said: string[] = [];
      const bobs: string[] = [];
      let faults = 0;
      for (let i = 0; i < 60; i++) {
        ann.send("c", `a${i}`);
        said.push(`a${i}`);
        if (random() < 0.5) {
          bob.send("c", `b${i}`);
          bobs.push(`b${i}`);
        }
        const dice = random();
        if (dice < 0.06) world.webtransport.cut();
        else if (dice < 0.12) world.websocket.cut();
        else if (dice < 0.18) world.webtransport.blackhole = !world.webtransport.blackhole;
        else if (dice < 0.22) world.websocket.blackhole = !world.websocket.blackhole;
        else if (dice < 0.26) world.peer.muteReplies = !world.peer.muteReplies;
        else if (dice < 0.3) world.peer.refuse = random() < 0.5 ? () => ({ code: "overloaded", retryAfterMs: 50 }) : () => undefined;
        if (dice < 0.3) faults++;
        await world.clock.advance(random() * 800);
      }
      world.webtransport.blackhole = false;
      world.websocket.blackhole = false;
      world.peer.muteReplies = false;
      world.peer.refuse = () => undefined;
      await world.clock.until(() => ann.waiting.get() === 0 && bob.waiting.get() === 0, 120_000);
      await world.clock.advance(3_000);
      const log = world.peer.texts("c");
      expect(faults, `seed ${seed}`).toBeGreaterThan(3);
      expect(log.filter((text) => text.startsWith("a")), `seed ${seed}`).toEqual(said);
      expect(log.filter((text) => text.startsWith("b")), `seed ${seed}`).toEqual(bobs);
      expect(seen(ann), `seed ${seed}`).toEqual(log);
      expect(seen(bob), `seed ${seed}`).toEqual(log);
      await ann.close();
      await bob.close();
    }
  }, 60_000);

  it("goes on within 5 s when UDP is cut", async () => {
    const { world, ann, bob } = await pair();
    ann.send("c", "before");
    await world.clock.until(() => seen(bob).length === 1);
    world.webtransport.blackhole = true;
    world.peer.say("c", "bob", "meanwhile");
    ann.send("c", "after");
    const took = await world.clock.until(() => seen(ann).includes("meanwhile") && seen(bob).includes("after"), 6_000);
    expect(took).toBeLessThanOrEqual(5_000);
    await world.clock.until(() => ann.waiting.get() === 0);
    expect(seen(ann)).toEqual(world.peer.texts("c"));
  });
});

describe("catching up", () => {
  it("shows history at once on the next visit, without a connection", async () => {
    const { world, ann } = await pair();
    await ann.close();
    const storage = new MemoryStorage();
    const first = await world.device("ann", "a1", storage);
    await world.clock.until(() => first.conversation("c") !== undefined);
    await world.clock.advance(50);
    for (let i = 0; i < 150; i++) world.peer.say("c", "bob", `m${i}`);
    await world.clock.advance(500);
    await first.close();
    world.webtransport.refused = true;
    world.websocket.refused = true;
    const second = await world.device("ann", "a1", storage);
    const timeline = second.timeline("c");
    await world.clock.advance(1);
    // It begins where the unread part does.
    expect(texts(timeline.items.get())[0]).toBe("m0");
    expect(timeline.state.get()).toMatchObject({ complete: true, newest: false });
    await timeline.loadNewer();
    expect(texts(timeline.items.get()).length).toBe(150);
    expect(timeline.state.get().newest).toBe(true);
    expect(second.conversation("c")?.unread).toBe(150);
    second.markRead("c", 151);
    await second.close();
    // With nothing unread it begins at the end.
    const third = await world.device("ann", "a1", storage);
    const again = third.timeline("c");
    await world.clock.advance(1);
    expect(texts(again.items.get())).toEqual(Array.from({ length: 60 }, (_, i) => `m${i + 90}`));
    await again.loadOlder();
    expect(texts(again.items.get()).length).toBe(150);
  });

  it("of 10,000 messages begins at the first unread one, goes to the newest at once, and shows all of them on the way up", async () => {
    const { world, ann } = await pair();
    const here = await world.device("ann", "a2");
    await world.online(here);
    await ann.close();
    const storage = new MemoryStorage();
    const first = await world.device("ann", "a3", storage);
    await world.online(first);
    world.peer.say("c", "bob", "before");
    await world.clock.advance(500);
    await first.close();
    for (let i = 0; i < 10_000; i++) world.peer.say("c", "bob", `m${i}`);
    await world.clock.advance(500);
    const back = await world.device("ann", "a3", storage);
    const timeline = back.timeline("c");
    const took = await world.clock.until(() => texts(timeline.items.get()).at(-1) !== undefined && back.conversation("c")?.lastSeq === 10_002);
    expect(took).toBeLessThan(3_000);
    await world.clock.advance(500);
    expect(texts(timeline.items.get())[0]).toBe("before");
    // On the way down from there nothing is left out, while the newest page is here too.
    for (let i = 0; i < 2; i++) {
      const step = timeline.loadNewer();
      await world.clock.advance(20);
      await step;
    }
    const shown = texts(timeline.items.get());
    expect(shown).toEqual(world.peer.texts("c").slice(0, shown.length));
    expect(shown.length).toBeGreaterThan(100);
    expect(timeline.state.get().newest).toBe(false);
    const move = timeline.moveToNewest();
    await world.clock.advance(50);
    await move;
    expect(texts(timeline.items.get()).at(-1)).toBe("m9999");
    expect(world.peer.calls.get("ListEvents")).toBeLessThan(10);
    // A new message while the gap is open.
    world.peer.say("c", "bob", "live");
    await world.clock.until(() => texts(timeline.items.get()).at(-1) === "live");
    for (let i = 0; i < 300 && !timeline.state.get().complete; i++) {
      const step = timeline.loadOlder();
      await world.clock.advance(20);
      await step;
    }
    expect(texts(timeline.items.get())).toEqual(world.peer.texts("c"));
    expect(back.conversation("c")?.unread).toBeGreaterThanOrEqual(1_000);
    // The device that was here all the time has the same at the end.
    const other = texts(here.timeline("c").items.get());
    await world.clock.advance(100);
    expect(other.length === 0 || other.at(-1) === "live").toBe(true);
  }, 60_000);

  it("shows a conversation and its messages the moment one is made", async () => {
    const { world, ann } = await pair();
    world.peer.chat("g", true, "bob", "ann", "cyd");
    world.peer.say("g", "cyd", "welcome");
    await world.clock.until(() => ann.conversation("g")?.lastEvent?.body.kind === "message");
    expect(ann.conversation("g")).toMatchObject({ group: true, unread: 1, memberCount: 3 });
    const timeline = ann.timeline("g");
    await world.clock.advance(100);
    expect(texts(timeline.items.get())).toEqual(["welcome"]);
    expect(ann.people.get().get("cyd")?.displayName).toBe("CYD");
  });

  it("asks for everything once when the server says that it dropped events", async () => {
    const { world, ann } = await pair();
    const chat = world.peer.chats.get("c");
    ann.timeline("c");
    await world.clock.advance(100);
    // Events that this session was not sent.
    const sessions = [...world.peer.sessions];
    world.peer.sessions.clear();
    for (let i = 0; i < 5; i++) world.peer.say("c", "bob", `m${i}`);
    for (const session of sessions) world.peer.sessions.add(session);
    world.peer.push("ann", { case: "resync", value: { logId: "c", fromSeq: 1n } });
    await world.clock.until(() => seen(ann).length === 5);
    expect(chat?.events.length).toBe(6);
  });

  it("applies an own log that is longer than one answer, in order and once", async () => {
    const world = new World();
    const storage = new MemoryStorage();
    const first = await world.device("ann", "a1", storage);
    await world.online(first);
    await world.clock.advance(50);
    await first.close();
    const person = (i: number) => ({ id: `p${i}`, name: `p${i}`, displayName: `P${i}` });
    for (let i = 0; i < 450; i++) {
      world.peer.tell("ann", { case: "contactRequested", value: { from: person(i), to: person(-1), note: "hi" } });
    }
    // The last one takes its request back.
    world.peer.tell("ann", { case: "contactRemoved", value: { peerId: "p449" } });
    const back = await world.device("ann", "a1", storage);
    await world.clock.until(() => back.contacts.get().length === 449);
    await world.clock.advance(100);
    expect(back.contacts.get().length).toBe(449);
    expect(world.peer.calls.get("Sync")).toBe(1 + 3);
    // Live ones go on from there.
    world.peer.tell("ann", { case: "contactRequested", value: { from: person(1_000), to: person(-1), note: "" } });
    await world.clock.until(() => back.contacts.get().length === 450);
  });

  it("removes a group that was left on another device", async () => {
    const { world, ann } = await pair();
    world.peer.chat("g", true, "bob", "ann", "cyd");
    const other = await world.device("ann", "a2");
    await world.clock.until(() => ann.conversation("g") !== undefined && other.conversation("g") !== undefined);
    const left = other.leaveGroup("g");
    await world.clock.until(() => ann.conversation("g") === undefined);
    await left;
    expect(other.conversation("g")).toBeUndefined();
  });
});

describe("a server that was restored from an older backup", () => {
  it("is followed as by a new device: what is said anew under a known seq is shown, and what waits goes out", async () => {
    const { world, ann } = await pair();
    await ann.close();
    const storage = new MemoryStorage();
    const first = await world.device("ann", "a1", storage);
    await world.online(first);
    for (let i = 2; i <= 50; i++) world.peer.say("c", "bob", `m${i}`);
    world.peer.chat("d", true, "ann", "bob");
    await world.clock.until(() => seen(first).length === 49 && first.conversation("d") !== undefined);
    await world.clock.advance(100);
    await first.close();
    // All after event 40 is gone, and with it the group.
    world.peer.chats.get("c")?.events.splice(40);
    world.peer.chats.delete("d");
    world.peer.own.get("ann")?.splice(1);
    world.webtransport.refused = true;
    world.websocket.refused = true;
    const second = await world.device("ann", "a1", storage);
    second.timeline("c");
    await world.clock.advance(10);
    expect(seen(second).at(-1)).toBe("m50");
    second.send("c", "kept");
    world.webtransport.refused = false;
    world.peer.refuse = () => ({ code: "overloaded", retryAfterMs: 50 });
    await world.clock.until(() => seen(second).includes("m40") && !seen(second).includes("m50"));
    expect(second.conversation("d")).toBeUndefined();
    world.peer.say("c", "bob", "another 41");
    await world.clock.until(() => seen(second).includes("another 41"), 1_000);
    world.peer.refuse = () => undefined;
    await world.clock.until(() => second.waiting.get() === 0);
    await world.clock.advance(500);
    expect(world.peer.texts("c").slice(-2)).toEqual(["another 41", "kept"]);
    expect(seen(second)).toEqual(world.peer.texts("c"));
    expect(second.conversation("c")).toMatchObject({ lastSeq: 42 });
    const kept = await storage.load();
    expect(kept.ownSeq).toBe(1);
    expect(kept.conversations.map((record) => record.conversation.id)).toEqual(["c"]);
    expect(await storage.events("c", 43, 50)).toEqual([]);
    // The own log goes on from where it stands.
    world.peer.chat("e", true, "ann", "bob");
    await world.clock.until(() => second.conversation("e") !== undefined);
  });
});

describe("a conversation that is opened while messages come in", () => {
  it("shows them all, whatever the moment", async () => {
    /** Reads that take a while, as those of a database do. */
    class Slow extends MemoryStorage {
      clock: World["clock"] | undefined;
      override async events(...range: Parameters<MemoryStorage["events"]>) {
        const found = await super.events(...range);
        await new Promise<void>((resolve) => this.clock?.after(3, resolve));
        return found;
      }
    }
    for (let wait = 0; wait < 6; wait++) {
      for (const gap of [0, 1, 2, 3, 5]) {
        const world = new World();
        const storage = Object.assign(new Slow(), { clock: world.clock });
        world.peer.token("ann", "-");
        const ann = await world.device("ann", "a1", storage);
        await world.online(ann);
        await world.clock.advance(50);
        world.peer.chat("g", true, "bob", "ann");
        if (wait % 2) world.peer.say("g", "bob", "0");
        await world.clock.until(() => ann.conversation("g") !== undefined);
        await world.clock.advance(wait >> 1);
        world.peer.say("g", "bob", "1");
        await world.clock.advance(gap);
        const timeline = ann.timeline("g");
        for (const text of ["2", "3"]) {
          await world.clock.advance(gap);
          world.peer.say("g", "bob", text);
        }
        await world.clock.advance(500);
        expect(texts(timeline.items.get()), `${wait} ${gap}`).toEqual(world.peer.texts("g"));
        expect(timeline.state.get(), `${wait} ${gap}`).toMatchObject({ newest: true, loading: false });
        await ann.close();
      }
    }
  }, 30_000);
});

describe("the list of conversations", () => {
  it("is in the order in which they moved, whatever the clocks say, also on the next visit", async () => {
    const { world, ann } = await pair();
    await ann.close();
    const storage = new MemoryStorage();
    const first = await world.device("ann", "a1", storage);
    await world.online(first);
    // The peer's time goes on by each log: what is said in a long one is later than what is said
    // afterwards in a short one.
    for (let i = 0; i < 50; i++) world.peer.say("c", "bob", `m${i}`);
    world.peer.chat("d", true, "bob", "ann");
    world.peer.chat("e", true, "bob", "ann");
    const order = (client: Client) => client.conversations.get().map(({ id }) => id);
    await world.clock.until(() => order(first).length === 3);
    await world.clock.advance(100);
    world.peer.say("d", "bob", "now");
    await world.clock.until(() => order(first)[0] === "d", 200);
    // One's own message lifts at once, and another's that comes after it lifts over it: this
    // device's clock is not asked.
    first.send("e", "mine");
    expect(order(first)).toEqual(["e", "d", "c"]);
    await world.clock.advance(100);
    world.peer.say("c", "bob", "later");
    await world.clock.until(() => order(first)[0] === "c", 200);
    expect(order(first)).toEqual(["c", "e", "d"]);
    await first.close();
    world.webtransport.refused = world.websocket.refused = true;
    const second = await world.device("ann", "a1", storage);
    expect(order(second)).toEqual(["c", "e", "d"]);
    expect(second.conversation("e")?.activeMs).toBeLessThan(1_800_000_000_000);
  });
});

describe("what is announced", () => {
  it("is what comes while the device is there or in a brief break, whatever its clock says; the rest is counted", async () => {
    const { world, ann } = await pair();
    const heard: string[] = [];
    ann.onMessage((_, event, missed) => {
      if (event.body.kind === "message") heard.push(`${event.body.text}${missed ? " (missed)" : ""}`);
      // A watcher's fault is not the transport's.
      throw new Error("a watcher's own");
    });
    const faults: unknown[] = [];
    Object.assign(globalThis, { reportError: (error: unknown) => faults.push(error) });
    world.peer.say("c", "bob", "live");
    await world.clock.until(() => heard.length === 1, 200);
    const away = async (ms: number) => {
      world.webtransport.refused = world.websocket.refused = true;
      world.webtransport.cut();
      world.websocket.cut();
      await world.clock.advance(50);
      world.peer.say("c", "bob", `after ${ms}`);
      await world.clock.advance(ms);
      world.webtransport.refused = world.websocket.refused = false;
      ann.kick();
      await world.clock.until(() => heard.some((text) => text.startsWith(`after ${ms}`)), 30_000);
    };
    await away(5_000);
    await away(100_000);
    world.peer.say("c", "bob", "live again");
    await world.clock.until(() => heard.includes("live again"), 200);
    expect(heard).toEqual(["live", "after 5000", "after 100000 (missed)", "live again"]);
    expect(faults.length).toBe(4);
    expect(seen(ann)).toEqual(["live", "after 5000", "after 100000", "live again"]);
    Reflect.deleteProperty(globalThis, "reportError");
  });

  it("tells of requests with their notes, of acceptances and of groups", async () => {
    const { world, ann } = await pair();
    const news: [unknown, boolean][] = [];
    ann.onNews((it, missed) => void news.push([it, missed]));
    const person = (id: string) => ({ id, name: id, displayName: id.toUpperCase() });
    world.peer.tell("ann", { case: "contactRequested", value: { from: person("cyd"), to: person("ann"), note: "We met." } });
    world.peer.tell("ann", { case: "contactRequested", value: { from: person("ann"), to: person("dan"), note: "Me." } });
    world.peer.tell("ann", { case: "contactAccepted", value: { peer: person("dan"), conversationId: "c" } });
    world.peer.chat("g", true, "bob", "ann");
    await world.clock.until(() => news.length === 3, 1_000);
    expect(news).toEqual([
      [{ kind: "requested", person: person("cyd"), note: "We met." }, false],
      [{ kind: "accepted", person: person("dan"), conversationId: "c" }, false],
      [{ kind: "joined", conversationId: "g" }, false],
    ]);
  });

  it("has many people's presence in one change, and none of who is a contact no more", async () => {
    const { world, ann } = await pair();
    let changes = 0;
    ann.presence.subscribe(() => changes++);
    world.peer.tell("ann", {
      case: "contactAccepted",
      value: { peer: { id: "bob", name: "bob", displayName: "BOB" }, conversationId: "c" },
    });
    await world.clock.advance(50);
    changes = 0;
    for (let i = 0; i < 500; i++) {
      world.peer.push("ann", { case: "ephemeral", value: { userId: i === 0 ? "bob" : `p${i}`, kind: { case: "presence", value: { online: true } } } });
    }
    await world.clock.advance(50);
    expect(ann.presence.get().size).toBeGreaterThanOrEqual(500);
    expect(changes).toBeLessThan(50);
    world.peer.tell("ann", { case: "contactRemoved", value: { peerId: "bob" } });
    await world.clock.advance(50);
    expect(ann.presence.get().has("bob")).toBe(false);
  });
});

describe("marks", () => {
  it("tell the sender, and go at most once a second", async () => {
    const { world, ann, bob } = await pair();
    await world.clock.advance(3_000);
    world.peer.marksFrames.length = 0;
    for (let i = 0; i < 30; i++) {
      ann.send("c", `m${i}`);
      await world.clock.advance(100);
    }
    await world.clock.advance(2_000);
    expect(ann.conversation("c")).toMatchObject({ othersDeliveredSeq: 31, othersReadSeq: 0 });
    expect(world.peer.marksFrames.length).toBeLessThanOrEqual(5);
    bob.markRead("c", 31);
    await world.clock.until(() => ann.conversation("c")?.othersReadSeq === 31, 1_100);
  });

  it("move with what one sends, on every device and for the others", async () => {
    const { world, ann } = await pair();
    const other = await world.device("ann", "a2");
    await world.online(other);
    for (let i = 0; i < 3; i++) world.peer.say("c", "bob", `m${i}`);
    await world.clock.until(() => other.conversation("c")?.unread === 3);
    // The events alone tell: nobody says how far they have read.
    expect(ann.conversation("c")).toMatchObject({ othersReadSeq: 4, othersDeliveredSeq: 4 });
    ann.send("c", "hi");
    await world.clock.until(() => ann.conversation("c")?.lastSeq === 5 && other.conversation("c")?.lastSeq === 5);
    for (const device of [ann, other]) expect(device.conversation("c")).toMatchObject({ unread: 0, readSeq: 5, deliveredSeq: 5 });
    world.peer.say("c", "bob", "and?");
    await world.clock.until(() => other.conversation("c")?.unread === 1);
  });

  it("move in a group with what a member sends", async () => {
    const { world, ann } = await pair();
    world.peer.chat("g", true, "ann", "bob", "cleo");
    await world.clock.until(() => ann.conversation("g") !== undefined);
    ann.members("g");
    await world.clock.until(() => ann.members("g").get().length === 3);
    ann.send("g", "hi");
    await world.clock.until(() => ann.conversation("g")?.lastSeq === 2);
    world.peer.say("g", "bob", "ho");
    await world.clock.advance(50);
    expect(ann.members("g").get().find(({ person }) => person.id === "bob")).toMatchObject({ readSeq: 3, deliveredSeq: 3 });
    expect(ann.conversation("g")?.othersReadSeq).toBe(0);
    world.peer.say("g", "cleo", "hey");
    await world.clock.until(() => ann.conversation("g")?.othersReadSeq === 3);
  });

  it("count what is unread the same on every device of a person", async () => {
    const { world, ann } = await pair();
    const other = await world.device("ann", "a2");
    await world.online(other);
    for (let i = 0; i < 5; i++) world.peer.say("c", "bob", `m${i}`);
    await world.clock.until(() => ann.conversation("c")?.unread === 5 && other.conversation("c")?.unread === 5);
    ann.markRead("c", 4);
    await world.clock.until(() => other.conversation("c")?.unread === 2 && ann.conversation("c")?.unread === 2, 2_000);
    other.markRead("c", 6);
    await world.clock.until(() => ann.conversation("c")?.unread === 0, 2_000);
    // Marks never go back.
    ann.markRead("c", 3);
    await world.clock.advance(2_000);
    expect(other.conversation("c")).toMatchObject({ unread: 0, readSeq: 6 });
  });

  it("do not count twice what was missed", async () => {
    const { world, ann } = await pair();
    await ann.close();
    const storage = new MemoryStorage();
    const first = await world.device("ann", "a1", storage);
    await world.online(first);
    await world.clock.advance(50);
    await first.close();
    for (let i = 0; i < 5; i++) world.peer.say("c", "bob", `m${i}`);
    const back = await world.device("ann", "a1", storage);
    await world.online(back);
    // The head says 5; then the 5 events are fetched.
    await world.clock.advance(500);
    expect(back.conversation("c")?.unread).toBe(5);
    expect(texts(back.timeline("c").items.get()).length).toBe(0);
    await world.clock.advance(50);
    expect(seen(back).length).toBe(5);
    expect(back.conversation("c")?.unread).toBe(5);
  });

  it("arrive although the connection broke right after", async () => {
    const { world, ann } = await pair();
    world.peer.say("c", "bob", "hi");
    await world.clock.until(() => ann.conversation("c")?.unread === 1);
    world.webtransport.blackhole = true;
    ann.markRead("c", 2);
    await world.clock.until(() => world.peer.chats.get("c")?.marks.get("ann")?.read === 2, 8_000);
    expect(ann.conversation("c")?.unread).toBe(0);
  });

  it("in a group follow the slowest member", async () => {
    const { world, ann } = await pair();
    world.peer.chat("g", true, "ann", "bob", "cyd");
    await world.clock.until(() => ann.conversation("g") !== undefined);
    ann.timeline("g");
    ann.send("g", "all?");
    await world.clock.until(() => ann.waiting.get() === 0);
    await world.clock.advance(200);
    world.peer.mark("g", "bob", 2, 2);
    await world.clock.advance(100);
    expect(ann.conversation("g")).toMatchObject({ othersReadSeq: 0 });
    world.peer.mark("g", "cyd", 2, 0);
    await world.clock.advance(100);
    expect(ann.conversation("g")).toMatchObject({ othersDeliveredSeq: 2, othersReadSeq: 0 });
    world.peer.mark("g", "cyd", 2, 2);
    await world.clock.advance(100);
    expect(ann.conversation("g")).toMatchObject({ othersReadSeq: 2 });
  });
});

describe("typing", () => {
  it("shows while it is repeated, ends when the message comes, lapses by itself", async () => {
    const { world, ann, bob } = await pair();
    ann.type("c", true);
    await world.clock.until(() => bob.typing.get().get("c")?.[0] === "ann", 100);
    ann.send("c", "there");
    await world.clock.until(() => !bob.typing.get().has("c"), 100);
    ann.type("c", true);
    await world.clock.until(() => bob.typing.get().has("c"), 100);
    await world.clock.advance(5_900);
    expect(bob.typing.get().has("c")).toBe(true);
    await world.clock.advance(200);
    expect(bob.typing.get().has("c")).toBe(false);
  });

  it("is taken back only where others were told of it; a message takes it back by itself", async () => {
    const { world, ann } = await pair();
    const told = world.peer.typing;
    ann.type("c", false);
    ann.send("c", "pasted");
    ann.type("c", true);
    ann.send("c", "typed");
    ann.type("c", false);
    await world.clock.advance(100);
    expect(told).toEqual([["ann", false]]);
    ann.type("c", true);
    ann.type("c", false);
    ann.type("c", false);
    await world.clock.advance(100);
    expect(told.slice(1)).toEqual([["ann", false], ["ann", true]]);
    // Without a connection nobody is told, and so nothing is to be taken back.
    told.length = 0;
    for (const path of [world.webtransport, world.websocket]) path.refused = true;
    world.webtransport.cut();
    await world.clock.until(() => ann.connection.get().status === "offline");
    ann.type("c", true);
    for (const path of [world.webtransport, world.websocket]) path.refused = false;
    await world.online(ann);
    ann.type("c", false);
    await world.clock.advance(100);
    expect(told).toEqual([]);
  });
});

describe("a call", () => {
  it("waits for the connection, and says so when there is none", async () => {
    const { world, ann } = await pair();
    world.webtransport.refused = true;
    world.websocket.refused = true;
    world.webtransport.cut();
    const failing = ann.leaveGroup("c").catch((error) => error);
    await world.clock.advance(10_100);
    expect(await failing).toMatchObject({ code: "offline" });
  });

  it("gets the server's error, typed", async () => {
    const { world, ann } = await pair();
    const failing = ann.leaveGroup("nowhere").catch((error) => error);
    await world.clock.advance(50);
    expect(await failing).toMatchObject({ name: "GogochatError", code: "not_a_member", retryable: false });
  });

  it("that was carried out and whose reply was lost is done, whatever its repeat is told", async () => {
    const { world, ann } = await pair();
    world.peer.asked.add("bob/ann");
    for (const [method, call] of [
      ["RequestContact", () => ann.requestContact({ id: "bob", name: "bob", displayName: "BOB" }, "")],
      ["RemoveContact", () => ann.removeContact("bob")],
    ] as const) {
      world.peer.muteReplies = true;
      let done = false;
      const doing = call().then(() => (done = true));
      await world.clock.until(() => world.peer.calls.get(method) === 1);
      world.peer.muteReplies = false;
      world.webtransport.cut();
      await world.clock.until(() => world.peer.calls.get(method) === 2);
      await world.clock.advance(100);
      expect(done).toBe(true);
      await doing;
      expect(ann.contacts.get().map(({ person, state }) => [person.id, state])).toEqual(
        method === "RequestContact" ? [["bob", "accepted"]] : [],
      );
    }
    // Who is none is none at the first call too, and that is said.
    const failing = ann.removeContact("bob").catch((error) => error);
    await world.clock.advance(50);
    expect(await failing).toMatchObject({ code: "not_found" });
  });
});
