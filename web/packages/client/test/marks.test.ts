// Delivered and read marks, and what is unread.

import { describe, expect, it } from "vitest";
import { MemoryStorage } from "../src/storage/memory.ts";
import { pair, seen } from "./pair.ts";
import { texts } from "./world.ts";

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

  it("that the server was not told before the page was gone are told on the next visit; what came meanwhile is unread", async () => {
    const { world, ann } = await pair();
    await ann.close();
    const storage = new MemoryStorage();
    const first = await world.device("ann", "a1", storage);
    await world.online(first);
    for (let i = 2; i <= 9; i++) world.peer.say("c", "bob", `m${i}`);
    await world.clock.until(() => first.conversation("c")?.lastSeq === 9);
    await world.clock.advance(2_000);
    // Gone without a word, in the second in which a mark waits for the next frame.
    first.markRead("c", 7);
    first.markRead("c", 8);
    world.webtransport.blackhole = true;
    first.markRead("c", 9);
    await world.clock.advance(100);
    await first.close();
    world.webtransport.blackhole = false;
    world.peer.mark("c", "ann", 9, 0);
    expect(world.peer.chats.get("c")?.marks.get("ann")?.read).toBeLessThan(9);
    for (let i = 10; i <= 40; i++) world.peer.say("c", "bob", `m${i}`);
    const back = await world.device("ann", "a1", storage);
    const counts = new Set<number | undefined>();
    back.conversations.subscribe(() => counts.add(back.conversation("c")?.unread));
    await world.clock.until(() => back.conversation("c")?.lastSeq === 40);
    expect([...counts].filter((count) => count !== undefined && count < 20)).toEqual([]);
    await world.clock.until(() => world.peer.chats.get("c")?.marks.get("ann")?.read === 9, 5_000);
    await world.clock.until(() => back.conversation("c")?.unread === 31, 5_000);
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

  it("in a group are told for all others at once, without a list of the members", async () => {
    const { world, ann } = await pair();
    world.peer.chat("g", true, "ann", "bob", "cyd");
    await world.clock.until(() => ann.conversation("g") !== undefined);
    ann.send("g", "all?");
    await world.clock.until(() => ann.waiting.get() === 0);
    world.peer.mark("g", "bob", 2, 2);
    world.peer.mark("g", "cyd", 2, 1);
    await world.clock.advance(100);
    expect(ann.conversation("g")).toMatchObject({ othersDeliveredSeq: 2, othersReadSeq: 1 });
    expect(world.peer.calls.get("ListMembers") ?? 0).toBe(0);
  });

  it.each(["one", ""])("in a group follow the slowest member (the server's history is %j)", async (epoch) => {
    const { world, ann } = await pair();
    // The release before tells of each member.
    world.peer.epoch = epoch;
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
