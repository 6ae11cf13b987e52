import { IDBFactory, IDBKeyRange } from "fake-indexeddb";
import { describe, expect, it } from "vitest";
import type { Conversation, LogEvent } from "../src/model.ts";
import { openIndexedDb } from "../src/storage/indexeddb.ts";
import { MemoryStorage } from "../src/storage/memory.ts";
import { OWN_SEQ, type Storage } from "../src/storage/storage.ts";

Object.assign(globalThis, { IDBKeyRange });

const event = (logId: string, seq: number): LogEvent => ({
  logId,
  seq,
  timeMs: seq,
  senderId: "u",
  deviceId: "d",
  clientMsgId: "",
  body: { kind: "message", text: `${logId}${seq}` },
});
const conversation = { id: "c", lastSeq: 3 } as Conversation;
const person = { id: "p", name: "pat", displayName: "Pat" };

// One contract, each way of keeping.
const ways: [string, () => { open: () => Promise<Storage>; kept: boolean }][] = [
  [
    "memory",
    () => {
      const storage = new MemoryStorage();
      return { open: async () => storage, kept: true };
    },
  ],
  [
    "IndexedDB",
    () => {
      const factory = new IDBFactory();
      return { open: () => openIndexedDb("user", factory), kept: true };
    },
  ],
];

describe.each(ways)("storage in %s", (_, make) => {
  it("is empty on a new device", async () => {
    const storage = await make().open();
    expect(await storage.load()).toEqual({ ownSeq: undefined, epoch: undefined, position: 0, blocked: "", conversations: [], contacts: [], people: [], outbox: [] });
    expect(await storage.events("c", 1, 100)).toEqual([]);
  });

  it("gives back what was kept, on the next visit", async () => {
    const { open } = make();
    const first = await open();
    first.put("meta", OWN_SEQ, 7);
    first.put("conversations", "c", { conversation, segments: [[1, 3]] });
    first.put("people", "p", person);
    for (const n of [3, 1, 2]) {
      first.put("outbox", `m${n}`, { n, conversationId: "c", clientMsgId: `m${n}`, text: "x", timeMs: 0 });
    }
    await first.flush();
    if (!(first instanceof MemoryStorage)) first.close();
    const again = await (await open()).load();
    expect(again.ownSeq).toBe(7);
    expect(again.conversations).toEqual([{ conversation, segments: [[1, 3]] }]);
    expect(again.people).toEqual([person]);
    expect(again.outbox.map((entry) => entry.n)).toEqual([1, 2, 3]);
  });

  it("reads a range of one log in order, also what was written a moment ago", async () => {
    const storage = await make().open();
    for (const seq of [2, 10, 9, 1, 100]) storage.put("events", ["c", seq], event("c", seq));
    storage.put("events", ["d", 5], event("d", 5));
    expect((await storage.events("c", 2, 10)).map((e) => e.seq)).toEqual([2, 9, 10]);
    storage.put("events", ["c", 3], event("c", 3));
    expect((await storage.events("c", 1, 3)).map((e) => e.seq)).toEqual([1, 2, 3]);
  });

  it("deletes", async () => {
    const storage = await make().open();
    storage.put("people", "p", person);
    storage.put("people", "q", { ...person, id: "q" });
    await storage.flush();
    storage.delete("people", "p");
    await storage.flush();
    expect((await storage.load()).people.map((p) => p.id)).toEqual(["q"]);
  });

  it("clears a kind of records, and keeps what is written after", async () => {
    const storage = await make().open();
    for (const seq of [1, 2]) storage.put("events", ["c", seq], event("c", seq));
    storage.put("people", "p", person);
    storage.clear("events");
    storage.put("events", ["c", 3], event("c", 3));
    expect((await storage.events("c", 1, 9)).map((e) => e.seq)).toEqual([3]);
    storage.clear("people");
    await storage.flush();
    expect((await storage.load()).people).toEqual([]);
  });

  it("forgets everything when the device signs out", async () => {
    const { open } = make();
    const storage = await open();
    storage.put("events", ["c", 1], event("c", 1));
    storage.put("people", "p", person);
    await storage.flush();
    await storage.destroy();
    const again = await open();
    expect((await again.load()).people).toEqual([]);
    expect(await again.events("c", 1, 1)).toEqual([]);
  });
});
