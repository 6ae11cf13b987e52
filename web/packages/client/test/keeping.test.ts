// What the browser does to storage while the page is open: it refuses it, closes it, clears it,
// lets it run full.

import { IDBFactory, IDBKeyRange } from "fake-indexeddb";
import { describe, expect, it } from "vitest";
import { keyValues } from "../src/key-values.ts";
import type { LogEvent } from "../src/model.ts";
import { openIndexedDb } from "../src/storage/indexeddb.ts";
import type { OutboxEntry, Returned } from "../src/storage/storage.ts";
import { ManualClock } from "./clock.ts";
import { texts, World } from "./world.ts";

Object.assign(globalThis, { IDBKeyRange });

const entry = (n: number, text = `m${n}`): OutboxEntry => ({ n, conversationId: "c", clientMsgId: `id${n}`, text, timeMs: 0 });
const event = (seq: number): LogEvent => ({
  logId: "c",
  seq,
  timeMs: seq,
  senderId: "u",
  deviceId: "d",
  clientMsgId: "",
  body: { kind: "message", text: `e${seq}` },
});

/** A browser's databases, with their faults. */
class Disk {
  readonly factory = new IDBFactory();
  refused = false;
  /** No room for a record whose text is longer. */
  room = Number.POSITIVE_INFINITY;
  /** Keys of the records that are there, in the order in which they came to be. */
  readonly written: string[] = [];
  readonly #open = new Set<IDBDatabase>();

  readonly browser = {
    open: (name: string, version?: number) => {
      if (this.refused) throw new DOMException("refused", "SecurityError");
      const request = this.factory.open(name, version);
      request.addEventListener("success", () => {
        const db = request.result;
        this.#open.add(db);
        const transaction = db.transaction.bind(db);
        db.transaction = (...args: Parameters<IDBDatabase["transaction"]>) => this.#limit(transaction(...args));
      });
      return request;
    },
    deleteDatabase: (name: string) => this.factory.deleteDatabase(name),
  } as IDBFactory;

  #limit(transaction: IDBTransaction): IDBTransaction {
    const objectStore = transaction.objectStore.bind(transaction);
    transaction.objectStore = (name: string) => {
      const store = objectStore(name);
      const put = store.put.bind(store);
      store.put = (value, key) => {
        const request = put(value, key);
        transaction.addEventListener("complete", () => this.written.push(String(key)));
        // A disk that is full is noticed when it is written to.
        if (JSON.stringify(value).length > this.room) transaction.commit = () => transaction.abort();
        return request;
      };
      return store;
    };
    return transaction;
  }

  /** The browser closes the databases, as when its storage process ends. */
  close(): void {
    for (const db of this.#open) {
      db.close();
      db.onclose?.(new Event("close"));
    }
    this.#open.clear();
  }
}

/** Lets IndexedDB, which has timers of its own, come to rest. */
const rest = async () => {
  for (let i = 0; i < 20; i++) await new Promise((resolve) => setTimeout(resolve, 0));
};

async function setUp(disk = new Disk()) {
  const clock = new ManualClock();
  const storage = await openIndexedDb("user", disk.browser, clock);
  const returned: Returned[] = [];
  storage.onReturn((it) => returned.push(it));
  const later = async (ms: number) => {
    await clock.advance(ms);
    await rest();
  };
  /** What the next visit would find. */
  const onDisk = async () => {
    await storage.flush();
    const again = await openIndexedDb("user", disk.factory, clock);
    const found = { ...(await again.load()), events: await again.events("c", 1, 100) };
    again.close();
    return found;
  };
  return { disk, clock, storage, returned, later, onDisk };
}

describe("storage", () => {
  it("that is refused is memory, says so, and is kept once it is granted", async () => {
    const disk = new Disk();
    disk.refused = true;
    const { storage, later, onDisk } = await setUp(disk);
    expect(storage.kept.get()).toBe(false);
    storage.put("outbox", "id1", entry(1));
    storage.put("events", ["c", 3], event(3));
    expect(await storage.events("c", 1, 9)).toEqual([event(3)]);
    expect(await storage.outbox()).toEqual([entry(1)]);
    disk.refused = false;
    await later(5_000);
    expect(storage.kept.get()).toBe(true);
    const found = await onDisk();
    expect([found.outbox, found.events]).toEqual([[entry(1)], [event(3)]]);
  });

  it("that the browser closes goes on in memory and is opened again, with all that was written meanwhile", async () => {
    const { disk, storage, returned, later, onDisk } = await setUp();
    storage.put("outbox", "id1", entry(1));
    storage.put("events", ["c", 1], event(1));
    await storage.flush();
    disk.close();
    expect(storage.kept.get()).toBe(false);
    storage.put("outbox", "id2", entry(2));
    storage.delete("outbox", "id1");
    storage.put("events", ["c", 2], event(2));
    expect(await storage.outbox()).toEqual([entry(2)]);
    await later(5_000);
    expect(storage.kept.get()).toBe(true);
    expect(returned).toEqual([{ lost: false, outbox: [entry(2)] }]);
    expect(await storage.events("c", 1, 9)).toEqual([event(1), event(2)]);
    expect((await onDisk()).outbox).toEqual([entry(2)]);
  });

  it("that is cleared says what was lost, so that it is written anew", async () => {
    const { disk, storage, returned, later } = await setUp();
    storage.put("outbox", "id1", entry(1));
    await storage.flush();
    disk.close();
    await new Promise((resolve) => {
      disk.factory.deleteDatabase("gogochat-user").onsuccess = resolve;
    });
    await later(5_000);
    expect(storage.kept.get()).toBe(true);
    expect(returned).toEqual([{ lost: true, outbox: [] }]);
  });

  it("that was cleared is said to be kept once what waits is there again, and not before", async () => {
    const { disk, storage, returned, later } = await setUp();
    storage.put("outbox", "id1", entry(1));
    await storage.flush();
    // As a client does.
    storage.onReturn(({ lost }) => lost && storage.put("outbox", "id1", entry(1)));
    disk.close();
    await new Promise((resolve) => {
      disk.factory.deleteDatabase("gogochat-user").onsuccess = resolve;
    });
    // What is written meanwhile finds no room at first.
    storage.put("outbox", "id2", entry(2, "y".repeat(300)));
    disk.room = 200;
    await later(5_000);
    expect(storage.kept.get()).toBe(false);
    disk.written.length = 0;
    let then: string[] | undefined;
    storage.kept.subscribe((now) => now && (then ??= [...disk.written]));
    disk.room = Number.POSITIVE_INFINITY;
    await later(60_000);
    expect(then?.sort()).toEqual(["id1", "id2"]);
    expect(returned.map(({ lost }) => lost)).toEqual([true]);
  });

  it("over quota keeps messages where a page of history finds no room, and says when they find none", async () => {
    const { disk, storage, later, onDisk } = await setUp();
    disk.room = 200;
    storage.put("events", ["c", 1], { ...event(1), body: { kind: "message", text: "x".repeat(300) } });
    storage.put("outbox", "id1", entry(1));
    await storage.flush();
    await rest();
    expect(storage.kept.get()).toBe(true);
    expect((await storage.events("c", 1, 1)).length).toBe(1);
    expect((await onDisk()).outbox).toEqual([entry(1)]);
    storage.put("outbox", "id2", entry(2, "y".repeat(300)));
    await storage.flush();
    await rest();
    expect(storage.kept.get()).toBe(false);
    // A newer record of the same message is what is kept in the end.
    storage.put("outbox", "id2", { ...entry(2, "y".repeat(300)), error: "text_too_long" });
    disk.room = Number.POSITIVE_INFINITY;
    await later(40_000);
    expect(storage.kept.get()).toBe(true);
    const found = await onDisk();
    expect(found.outbox.map(({ n, error }) => [n, error])).toEqual([[1, undefined], [2, "text_too_long"]]);
    expect(found.events.length).toBe(1);
  });

  it("that is cleared under an open page: what waits is sent, and kept again until then", async () => {
    const world = new World();
    const disk = new Disk();
    world.peer.token("ann", "-");
    world.peer.chat("c", false, "ann", "bob");
    for (let i = 0; i < 150; i++) world.peer.say("c", "bob", `m${i}`);
    const storage = await openIndexedDb("ann", disk.browser, world.clock);
    const ann = await world.device("ann", "a1", storage);
    await rest();
    await world.online(ann);
    const timeline = ann.timeline("c");
    await world.clock.advance(100);
    await rest();
    await world.clock.advance(100);
    await rest();
    expect(texts(timeline.items.get()).at(-1)).toBe("m149");
    world.webtransport.refused = world.websocket.refused = true;
    world.webtransport.cut();
    ann.send("c", "kept");
    await rest();
    disk.close();
    await new Promise((resolve) => {
      disk.factory.deleteDatabase("gogochat-ann").onsuccess = resolve;
    });
    expect(ann.kept.get()).toBe(false);
    await world.clock.advance(5_000);
    await rest();
    expect(ann.kept.get()).toBe(true);
    const there = await openIndexedDb("ann", disk.factory);
    expect((await there.load()).outbox.map(({ text }) => text)).toEqual(["kept"]);
    expect((await there.load()).conversations.map((record) => record.conversation.id)).toEqual(["c"]);
    there.close();
    world.webtransport.refused = false;
    await world.clock.until(() => ann.waiting.get() === 0, 30_000);
    // The events that were on disk are gone: they are fetched again on the way up.
    for (let i = 0; i < 20 && !timeline.state.get().complete; i++) {
      const step = timeline.loadOlder();
      await world.clock.advance(20);
      await rest();
      await world.clock.advance(20);
      await step;
    }
    expect(texts(timeline.items.get())).toEqual(world.peer.texts("c"));
  });
});

describe("key values", () => {
  it("of a browser that refuses them are memory, and never throw", () => {
    const denied = keyValues(() => {
      throw new DOMException("denied", "SecurityError");
    });
    expect(denied.getItem("a")).toBeNull();
    expect(denied.kept).toBe(true);
    denied.setItem("a", "1");
    expect([denied.getItem("a"), denied.kept]).toEqual(["1", false]);
    denied.removeItem("a");
    expect(denied.getItem("a")).toBeNull();
  });

  it("over quota hold the newest value, and are kept when there is room", () => {
    const disk = new Map([["a", "old"]]);
    let full = true;
    const values = keyValues(() => ({
      getItem: (key) => disk.get(key) ?? null,
      setItem: (key, value) => {
        if (full) throw new DOMException("full", "QuotaExceededError");
        disk.set(key, value);
      },
      removeItem: (key) => void disk.delete(key),
    }));
    values.setItem("a", "new");
    expect([values.getItem("a"), values.kept]).toEqual(["new", false]);
    full = false;
    expect([values.kept, disk.get("a")]).toEqual([true, "new"]);
  });
});
