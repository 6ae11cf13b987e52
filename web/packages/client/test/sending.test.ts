// Messages on their way out: kept, in order, once, over paths that break.

import { describe, expect, it } from "vitest";
import { MemoryStorage } from "../src/storage/memory.ts";
import { pair, seen, states } from "./pair.ts";
import { World } from "./world.ts";

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
