// A server whose store was restored from a backup: its history is another one.

import { describe, expect, it } from "vitest";
import { MemoryStorage } from "../src/storage/memory.ts";
import { pair, seen } from "./pair.ts";

describe("a server that was restored from an older backup", () => {
  it.each(["a new session", "a Sync of the session that stands"])("is noticed by its epoch: %s tells it", async (by) => {
    const { world, ann } = await pair();
    await ann.close();
    const storage = new MemoryStorage();
    const first = await world.device("ann", "a1", storage);
    await world.online(first);
    for (let i = 2; i <= 9; i++) world.peer.say("c", "bob", `m${i}`);
    await world.clock.until(() => seen(first).length === 8);
    // The own log is as long as it was: no cursor tells it.
    const chat = world.peer.chats.get("c");
    chat?.events.splice(4);
    for (let i = 5; i <= 12; i++) if (chat) world.peer.append(chat, "bob", "elsewhere", `again-${i}`, { case: "message", value: { text: `anew ${i}` } });
    world.peer.epoch = "two";
    world.peer.refuse = () => ({ code: "overloaded", retryAfterMs: 50 });
    first.send("c", "kept");
    if (by === "a new session") world.peer.close("ann", 4102);
    else world.peer.push("ann", { case: "resync", value: {} });
    await world.clock.until(() => seen(first).includes("anew 5"), 5_000);
    world.peer.refuse = () => undefined;
    await world.clock.until(() => first.waiting.get() === 0, 5_000);
    await world.clock.until(() => seen(first).includes("kept"), 5_000);
    expect(seen(first)).toEqual([...["m2", "m3", "m4"], ...Array.from({ length: 8 }, (_, i) => `anew ${i + 5}`), "kept"]);
    expect((await storage.load()).epoch).toBe("two");
  });


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
