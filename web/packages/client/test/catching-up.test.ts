// What a device learns when it comes back, and in which order its conversations stand.

import { describe, expect, it } from "vitest";
import type { Client } from "../src/client.ts";
import { MemoryStorage } from "../src/storage/memory.ts";
import { pair, seen } from "./pair.ts";
import { texts, World } from "./world.ts";

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

describe("a device that was away", () => {
  it.each([
    ["tells its position", "one", 0],
    ["tells its heads to a server of the release before", "", 31],
  ])("%s, and is told what moved alone", async (_, epoch, known) => {
    const { world, ann } = await pair();
    await ann.close();
    world.peer.epoch = epoch;
    for (let i = 0; i < 30; i++) world.peer.chat(`d${i}`, true, "bob", "ann");
    const storage = new MemoryStorage();
    const first = await world.device("ann", "a1", storage);
    await world.clock.until(() => first.conversations.get().length === 31);
    // Its marks have arrived, and are known to.
    await world.clock.advance(3_000);
    world.peer.push("ann", { case: "resync", value: {} });
    await world.clock.advance(3_000);
    await first.close();
    for (const id of ["d3", "d7"]) world.peer.say(id, "bob", "news");
    const second = await world.device("ann", "a1", storage);
    const syncs = world.peer.syncs.length;
    await world.clock.until(() => second.conversation("d7")?.lastSeq === 2, 1_000);
    expect(world.peer.syncs[syncs]).toMatchObject({ known, brought: 2 });
    expect(world.peer.syncs[syncs]?.position).toBeGreaterThanOrEqual(epoch ? 1 : 0);
    const top = second.conversations.get().slice(0, 2).map(({ id }) => id);
    expect(epoch ? top : top.sort().reverse()).toEqual(["d7", "d3"]);
  });

  it("takes everything once from a server that has learned to tell orders", async () => {
    const { world, ann } = await pair();
    await ann.close();
    world.peer.epoch = "";
    for (const id of ["d", "e"]) world.peer.chat(id, true, "bob", "ann");
    const storage = new MemoryStorage();
    const first = await world.device("ann", "a1", storage);
    await world.clock.until(() => first.conversations.get().length === 3);
    await first.close();
    world.peer.epoch = "one";
    const second = await world.device("ann", "a1", storage);
    const syncs = world.peer.syncs.length;
    await world.clock.until(() => world.peer.syncs.length > syncs, 1_000);
    await world.clock.advance(100);
    expect(world.peer.syncs[syncs]).toMatchObject({ known: 0, position: 0, brought: 3 });
    const orders = second.conversations.get().map(({ order }) => order);
    expect(Math.min(...orders)).toBeGreaterThan(1_000_000_000_000);
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
  it.each(["one", ""])("is in the order in which they moved, whatever the clocks say, also on the next visit (epoch '%s')", async (epoch) => {
    const { world, ann } = await pair();
    await ann.close();
    world.peer.epoch = epoch;
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
