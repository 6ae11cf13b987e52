// Records in IndexedDB, one database a user.

import type { LogEvent } from "../model.ts";
import { type Key, OWN_SEQ, type Records, type Snapshot, type Storage } from "./storage.ts";

const KINDS = ["meta", "conversations", "contacts", "people", "outbox", "events"] as const satisfies (keyof Records)[];
const VERSION = 1;

/** Opens the records of a user; rejects where the browser keeps none (private windows, full disks). */
export async function openIndexedDb(userId: string, factory: IDBFactory = indexedDB): Promise<Storage> {
  const request = factory.open(databaseName(userId), VERSION);
  request.onupgradeneeded = () => {
    for (const kind of KINDS) request.result.createObjectStore(kind);
  };
  return new IndexedDbStorage(await done<IDBDatabase>(request), factory);
}

function databaseName(userId: string): string {
  return `gogochat-${userId}`;
}

interface Write {
  readonly kind: keyof Records;
  /** undefined: all. */
  readonly key: Key | undefined;
  /** undefined: delete. */
  readonly value: unknown;
}

class IndexedDbStorage implements Storage {
  readonly #db: IDBDatabase;
  readonly #factory: IDBFactory;
  #writes: Write[] = [];
  #flushed: Promise<void> = Promise.resolve();

  constructor(db: IDBDatabase, factory: IDBFactory) {
    this.#db = db;
    this.#factory = factory;
    // Another tab signs out and deletes the records.
    db.onversionchange = () => db.close();
  }

  async load(): Promise<Snapshot> {
    const transaction = this.#db.transaction(KINDS);
    const all = <K extends keyof Records>(kind: K) => done<Records[K][]>(transaction.objectStore(kind).getAll());
    const [ownSeq, conversations, contacts, people, outbox] = await Promise.all([
      done<number | undefined>(transaction.objectStore("meta").get(OWN_SEQ)),
      all("conversations"),
      all("contacts"),
      all("people"),
      all("outbox"),
    ]);
    return { ownSeq, conversations, contacts, people, outbox: outbox.sort((a, b) => a.n - b.n) };
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
    this.#commit();
    // IndexedDB runs this behind the transactions above.
    const store = this.#db.transaction("events").objectStore("events");
    return done(store.getAll(IDBKeyRange.bound([logId, from], [logId, to])));
  }

  async flush(): Promise<void> {
    this.#commit();
    await this.#flushed;
  }

  async destroy(): Promise<void> {
    this.#writes = [];
    this.#db.close();
    await done(this.#factory.deleteDatabase(this.#db.name));
  }

  close(): void {
    this.#commit();
    this.#db.close();
  }

  #write(write: Write): void {
    if (this.#writes.length === 0) queueMicrotask(() => this.#commit());
    this.#writes.push(write);
  }

  #commit(): void {
    const writes = this.#writes;
    if (writes.length === 0) return;
    this.#writes = [];
    let transaction: IDBTransaction;
    try {
      transaction = this.#db.transaction(
        KINDS.filter((kind) => writes.some((write) => write.kind === kind)),
        "readwrite",
        { durability: "relaxed" },
      );
    } catch {
      // Closed, by a sign-out in another tab: there is nothing to keep any more.
      return;
    }
    for (const { kind, key, value } of writes) {
      const store = transaction.objectStore(kind);
      if (key === undefined) store.clear();
      else if (value === undefined) store.delete(key);
      else store.put(value, key);
    }
    this.#flushed = new Promise((resolve) => {
      // A transaction that fails (the disk is full) leaves what was there before; the server has it all.
      transaction.oncomplete = transaction.onabort = transaction.onerror = () => resolve();
    });
  }
}

function done<T>(request: IDBRequest): Promise<T> {
  return new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result as T);
    request.onerror = () => reject(request.error);
  });
}
