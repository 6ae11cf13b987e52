// Records in IndexedDB, one database a user. The browser may refuse it, close it, clear it or let
// it run full at any moment:
// then the records stay in memory, `kept` says so, and they are written when it takes them again.

import { Backoff, type Clock, systemClock, Timer } from "../clock.ts";
import type { LogEvent } from "../model.ts";
import { Cell, type Observable } from "../observable.ts";
import { Lane, type Write } from "./lane.ts";
import { BLOCKED, EPOCH, type Key, OWN_SEQ, type OutboxEntry, POSITION, type Records, type Returned, type Snapshot, type Storage } from "./storage.ts";

const CACHE = ["meta", "conversations", "contacts", "people", "events"] as const satisfies (keyof Records)[];
const KINDS = [...CACHE, "outbox"] as const satisfies (keyof Records)[];
const VERSION = 1;
/**
 * The key in `meta` of the database's own number, drawn when it was made: another number, another
 * database.
 */
const NUMBER = "number";

/**
 * Opens the records of a user. Where the browser keeps none (private windows, full disks), they are
 * in memory until it does.
 */
export async function openIndexedDb(userId: string, factory: IDBFactory = indexedDB, clock: Clock = systemClock): Promise<Storage> {
  const storage = new IndexedDbStorage(`gogochat-${userId}`, factory, clock);
  await storage.begin();
  return storage;
}

class IndexedDbStorage implements Storage {
  readonly kept: Observable<boolean>;
  readonly #kept = new Cell(true);
  readonly #name: string;
  readonly #factory: IDBFactory;
  readonly #clock: Clock;
  readonly #retry: Timer;
  readonly #backoff = new Backoff(RETRY_FIRST_MS, RETRY_MOST_MS);
  /**
   * What can be fetched again, and what cannot: that a large page finds no room must not take a
   * message with it.
   */
  readonly #cache: Lane;
  readonly #outbox: Lane;
  readonly #returned = new Set<(returned: Returned) => void>();
  #db: IDBDatabase | undefined;
  /** Of the database that was open last. */
  #number = 0;
  /** What the database that is open holds is yet to be told of, and whether another had more. */
  #untold: { lost: boolean } | undefined;
  #over = false;

  constructor(name: string, factory: IDBFactory, clock: Clock) {
    this.#name = name;
    this.#factory = factory;
    this.#clock = clock;
    this.#retry = new Timer(clock);
    this.kept = this.#kept;
    const database = () => this.#db;
    this.#cache = new Lane(CACHE, "relaxed", database, () => this.#failed(), (commit) => void clock.after(CACHE_MS, commit));
    this.#outbox = new Lane(["outbox"], "strict", database, () => this.#failed());
  }

  async begin(): Promise<void> {
    let cancel = () => {};
    const patience = new Promise<void>((resolve) => {
      cancel = this.#clock.after(PATIENCE_MS, resolve);
    });
    await Promise.race([this.#open(), patience]);
    cancel();
    if (!this.#db) this.#failed();
  }

  async load(): Promise<Snapshot> {
    const empty: Snapshot = { ownSeq: undefined, epoch: undefined, position: 0, blocked: "", conversations: [], contacts: [], people: [], outbox: [] };
    if (!this.#db) return empty;
    try {
      const transaction = this.#db.transaction(KINDS);
      const all = <K extends keyof Records>(kind: K) => done<Records[K][]>(transaction.objectStore(kind).getAll());
      const meta = <T>(key: string) => done<T | undefined>(transaction.objectStore("meta").get(key));
      const [ownSeq, epoch, position, blocked, conversations, contacts, people, outbox] = await Promise.all([
        meta<number>(OWN_SEQ),
        meta<string>(EPOCH),
        meta<number>(POSITION),
        meta<string>(BLOCKED),
        all("conversations"),
        all("contacts"),
        all("people"),
        all("outbox"),
      ]);
      return { ownSeq, epoch, position: position ?? 0, blocked: blocked ?? "", conversations, contacts, people, outbox: outbox.sort((a, b) => a.n - b.n) };
    } catch {
      this.#lose();
      return empty;
    }
  }

  put<K extends keyof Records>(kind: K, key: Key, value: Records[K]): void {
    this.#write({ kind, key, value });
  }

  delete(kind: keyof Records, key: Key): void {
    this.#write({ kind, key, value: undefined });
  }

  clear(kind: keyof Records): void {
    this.#write({ kind, key: undefined, value: undefined });
  }

  async events(logId: string, from: number, to: number): Promise<LogEvent[]> {
    this.#cache.commit();
    const found = new Map<number, LogEvent>();
    if (this.#db && !this.#cache.cleared("events")) {
      try {
        // IndexedDB runs this behind the transactions above.
        const store = this.#db.transaction("events").objectStore("events");
        const kept = await done<LogEvent[]>(store.getAll(IDBKeyRange.bound([logId, from], [logId, to])));
        if (this.#cache.kept) return kept;
        for (const event of kept) found.set(event.seq, event);
      } catch {
        this.#lose();
      }
    }
    for (let seq = from; seq <= to; seq++) {
      const write = this.#cache.held("events", [logId, seq]);
      if (write) found.set(seq, write.value as LogEvent);
    }
    return [...found.values()].sort((a, b) => a.seq - b.seq);
  }

  async outbox(): Promise<OutboxEntry[]> {
    this.#outbox.commit();
    const found = new Map<string, OutboxEntry>();
    if (this.#db) {
      try {
        const store = this.#db.transaction("outbox").objectStore("outbox");
        for (const entry of await done<OutboxEntry[]>(store.getAll())) found.set(entry.clientMsgId, entry);
      } catch {
        this.#lose();
      }
    }
    for (const { key, value } of this.#outbox.heldOf("outbox")) {
      if (value) found.set(String(key), value as OutboxEntry);
      else found.delete(String(key));
    }
    return [...found.values()].sort((a, b) => a.n - b.n);
  }

  onReturn(callback: (returned: Returned) => void): () => void {
    this.#returned.add(callback);
    return () => this.#returned.delete(callback);
  }

  async flush(): Promise<void> {
    await Promise.all([this.#cache.settled(), this.#outbox.settled()]);
  }

  async destroy(): Promise<void> {
    for (const lane of [this.#cache, this.#outbox]) lane.drop();
    this.close();
    await done(this.#factory.deleteDatabase(this.#name));
  }

  close(): void {
    this.#over = true;
    this.#retry.clear();
    for (const lane of [this.#cache, this.#outbox]) lane.commit();
    this.#db?.close();
  }

  #write(write: Write): void {
    (write.kind === "outbox" ? this.#outbox : this.#cache).write(write);
  }

  async #open(): Promise<void> {
    let db: IDBDatabase;
    let number: number | undefined;
    try {
      const request = this.#factory.open(this.#name, VERSION);
      request.onupgradeneeded = () => {
        for (const kind of KINDS) {
          const store = request.result.createObjectStore(kind);
          if (kind === "meta") store.put(Math.random(), NUMBER);
        }
      };
      db = await done<IDBDatabase>(request);
      number = await done<number | undefined>(db.transaction("meta").objectStore("meta").get(NUMBER));
    } catch {
      return;
    }
    if (this.#over || this.#db) return db.close();
    const before = this.#number;
    this.#number = number ?? 0;
    this.#db = db;
    // Somebody deletes it: another tab that signs out, or the person by the browser's means.
    db.onversionchange = () => this.#lose();
    db.onclose = () => this.#lose();
    // Closed meanwhile, it may have been told of by nobody yet.
    this.#untold = { lost: (before !== 0 && before !== this.#number) || (this.#untold?.lost ?? false) };
    await this.#again();
  }

  /** Writes what is held, and tells what the database has. */
  async #again(): Promise<void> {
    const outbox = await this.#outbox.again();
    const cache = await this.#cache.again();
    if (!this.#db || !outbox) return;
    if (cache) this.#backoff.reset();
    const untold = this.#untold;
    if (untold) {
      // What it holds is not known here when it opens late, and not what was written when it was cleared.
      this.#untold = undefined;
      const returned = { ...untold, outbox: await this.outbox() };
      for (const callback of this.#returned) callback(returned);
      // What waits is written anew now: before it is there it is not said to be kept.
      await this.#outbox.settled();
      if (!this.#db || !this.#outbox.kept) return;
    }
    this.#kept.set(true);
  }

  #lose(): void {
    this.#db?.close();
    this.#db = undefined;
    this.#failed();
  }

  #failed(): void {
    if (this.#over) return;
    if (!this.#db || !this.#outbox.kept) this.#kept.set(false);
    if (!this.#retry.armed) this.#retry.set(RETRY_LEAST_MS + this.#backoff.next(), () => void (this.#db ? this.#again() : this.#tryOpen()));
  }

  async #tryOpen(): Promise<void> {
    await this.#open();
    if (!this.#db) this.#failed();
  }
}

function done<T>(request: IDBRequest): Promise<T> {
  return new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result as T);
    request.onerror = () => reject(request.error);
  });
}

/** A message changes some records one after the other: they are written at once. */
const CACHE_MS = 50;
/** An opening that takes longer is not waited for: the page begins in memory. */
const PATIENCE_MS = 4_000;
/** Long enough for a sign-out in another tab to be known here, so that its database is not made anew. */
const RETRY_LEAST_MS = 1_000;
const RETRY_FIRST_MS = 2_000;
const RETRY_MOST_MS = 30_000;
