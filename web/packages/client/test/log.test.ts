import { describe, expect, it } from "vitest";
import { Log, merge, type Page } from "../src/log.ts";
import type { LogEvent } from "../src/model.ts";
import type { Segment } from "../src/storage/storage.ts";
import { ManualClock } from "./clock.ts";

function event(seq: number): LogEvent {
  return { logId: "c", seq, timeMs: seq, senderId: "u", deviceId: "", clientMsgId: "", body: { kind: "message", text: String(seq) } };
}

function range(from: number, to: number): LogEvent[] {
  return Array.from({ length: Math.max(0, to - from + 1) }, (_, i) => event(from + i));
}

/** A log on this device beside one of `size` events on the server. */
function setUp(size: number, segments: Segment[] = []) {
  const clock = new ManualClock();
  const server = { size, fetches: [] as string[], fail: false };
  const added: [string, number, number][] = [];
  const fetch = async (from: { after: number } | { before: number }, limit: number): Promise<Page> => {
    if (server.fail) throw new Error("no connection");
    server.fetches.push("after" in from ? `after ${from.after}` : `before ${from.before}`);
    const first = "after" in from ? from.after + 1 : Math.max(1, (from.before || server.size + 1) - limit);
    const last = "after" in from ? Math.min(server.size, from.after + limit) : (from.before || server.size + 1) - 1;
    return { events: range(first, last), lastSeq: server.size };
  };
  const log = new Log(segments, () => 1, fetch, clock, {
    added: (events, where) => added.push([where, events[0]?.seq ?? 0, events.at(-1)?.seq ?? 0]),
  });
  return { clock, server, log, added };
}

describe("a log", () => {
  it("takes events in order, each once", () => {
    const { log, added } = setUp(0);
    for (const seq of [1, 2, 2, 3, 1]) log.receive(event(seq));
    expect(added).toEqual([["newest", 1, 1], ["newest", 2, 2], ["newest", 3, 3]]);
    expect(log.segments).toEqual([[1, 3]]);
  });

  it("keeps what comes ahead of a gap until the gap is closed", async () => {
    const { log, added, clock, server } = setUp(5, [[1, 2]]);
    log.receive(event(5));
    log.receive(event(4));
    expect(added).toEqual([]);
    log.receive(event(3));
    expect(added).toEqual([["newest", 3, 3], ["newest", 4, 5]]);
    await clock.advance(1_000);
    expect(server.fetches).toEqual([]);
  });

  it("fetches a gap that does not close by itself", async () => {
    const { log, added, clock, server } = setUp(5, [[1, 2]]);
    log.receive(event(5));
    await clock.advance(299);
    expect(server.fetches).toEqual([]);
    await clock.advance(2);
    expect(server.fetches).toEqual(["after 2"]);
    expect(added).toEqual([["newest", 3, 5]]);
  });

  it("fills a short absence, and goes on with what came meanwhile", async () => {
    const { log, added, server } = setUp(400, [[1, 10]]);
    const done = log.catchUp(400);
    server.size = 402;
    log.receive(event(402));
    await done;
    expect(added).toEqual([["newest", 11, 400], ["newest", 401, 402]]);
    expect(log.segments).toEqual([[1, 402]]);
  });

  it("begins anew behind a long absence and fills the gap from above, page by page", async () => {
    const { log, added, server } = setUp(10_010, [[1, 10]]);
    await log.catchUp(10_010);
    expect(added).toEqual([["anew", 9_911, 10_010]]);
    expect(log.segments).toEqual([[1, 10], [9_911, 10_010]]);
    log.receive(event(10_011));
    expect(added.at(-1)).toEqual(["newest", 10_011, 10_011]);
    for (let first = 9_911; log.segments.length > 1; first -= 500) await log.older(first, 500);
    expect(log.segments).toEqual([[1, 10_011]]);
    expect(added.slice(2).every(([where]) => where === "older")).toBe(true);
    // Event 10 was here already and is not added again.
    expect(added.at(-1)?.[1]).toBe(11);
    expect(server.fetches.length).toBe(21);
  });

  it("passes over an event of an old gap: that is fetched when somebody looks there", async () => {
    const { log, added, clock } = setUp(300, [[1, 10], [200, 300]]);
    log.receive(event(50));
    await clock.advance(1_000);
    expect(added).toEqual([]);
  });

  it("gives up without a connection and begins again with the next", async () => {
    const { log, server } = setUp(20, [[1, 10]]);
    server.fail = true;
    await log.catchUp(20);
    expect(log.tail).toBe(10);
    server.fail = false;
    await log.catchUp(20);
    expect(log.tail).toBe(20);
  });

  it("does not ask for ever when it was told of an end that is not there", async () => {
    const { log, server } = setUp(10, [[1, 10]]);
    await log.catchUp(50);
    expect(server.fetches.length).toBe(1);
  });

  it("forgets a range that was lost", () => {
    const { log } = setUp(0, [[1, 10], [20, 30]]);
    log.lose(5, 6);
    expect(log.segments).toEqual([[1, 4], [7, 10], [20, 30]]);
    log.lose(20, 30);
    expect(log.segments).toEqual([[1, 4], [7, 10]]);
    log.lose(1, 100);
    expect(log.segments).toEqual([]);
  });
});

describe("segments", () => {
  it("join with what they touch", () => {
    expect(merge([[1, 3], [7, 9]], [4, 6])).toEqual([[1, 9]]);
    expect(merge([[1, 3], [7, 9]], [5, 5])).toEqual([[1, 3], [5, 5], [7, 9]]);
    expect(merge([[1, 3], [7, 9]], [2, 8])).toEqual([[1, 9]]);
    expect(merge([], [2, 8])).toEqual([[2, 8]]);
  });
});
