// Writes of some kinds of records on their way to IndexedDB. What the database does not take stays
// here, is read from here, and is written when it takes it again.

import type { Key, Records } from "./storage.ts";

/** One change of a record. */
export interface Write {
  readonly kind: keyof Records;
  /** undefined: all records of the kind. */
  readonly key: Key | undefined;
  /** undefined: delete. */
  readonly value: unknown;
}

/** The writes of some kinds. Those that come until `soon` calls back are one transaction. */
export class Lane {
  readonly #kinds: readonly (keyof Records)[];
  readonly #durability: IDBTransactionDurability;
  readonly #database: () => IDBDatabase | undefined;
  readonly #failed: () => void;
  readonly #soon: (commit: () => void) => void;
  #turn: Write[] = [];
  /** The newest write of each record that a transaction carries at the moment. */
  readonly #carried = new Map<string, Write>();
  /** The newest write of each record that is not in the database, in the order of writing. */
  readonly #held = new Map<string, Write>();
  #settled: Promise<void> = Promise.resolve();

  /** `failed` is told of each transaction that came to nothing. */
  constructor(
    kinds: readonly (keyof Records)[],
    durability: IDBTransactionDurability,
    database: () => IDBDatabase | undefined,
    failed: () => void,
    soon: (commit: () => void) => void = (commit) => queueMicrotask(commit),
  ) {
    this.#kinds = kinds;
    this.#durability = durability;
    this.#database = database;
    this.#failed = failed;
    this.#soon = soon;
  }

  /** Whether all that was written is in the database, or on its way there for the first time. */
  get kept(): boolean {
    return this.#held.size === 0;
  }

  write(write: Write): void {
    this.#turn.push(write);
    if (this.#turn.length === 1) this.#soon(() => this.commit());
  }

  /** Hands what was written meanwhile to the database. */
  commit(): void {
    const writes = this.#turn;
    if (writes.length === 0) return;
    this.#turn = [];
    if (this.kept && this.#database()) {
      void this.#carry(writes);
      return;
    }
    for (const write of writes) this.#hold(write);
    this.#failed();
  }

  /** Resolves when everything that was written is in the database or held here. */
  async settled(): Promise<void> {
    this.commit();
    await this.#settled;
  }

  /** Writes what is held, now that the database may take it. Whether nothing is left. */
  async again(): Promise<boolean> {
    while (!this.kept) {
      const held = [...this.#held];
      const done = await this.#carry(
        held.map(([, write]) => write),
        true,
      );
      if (!done) return false;
      for (const [id, write] of held) if (this.#held.get(id) === write) this.#held.delete(id);
    }
    return true;
  }

  /** The held write of a record, if there is one. */
  held(kind: keyof Records, key: Key): Write | undefined {
    return this.#held.get(idOf(kind, key));
  }

  /** Whether what the database has of a kind is out of date as a whole. */
  cleared(kind: keyof Records): boolean {
    return this.#held.has(idOf(kind, undefined));
  }

  /** The held writes of a kind. */
  heldOf(kind: keyof Records): Write[] {
    return [...this.#held.values()].filter((write) => write.kind === kind && write.key !== undefined);
  }

  /** Forgets what is not written. */
  drop(): void {
    this.#turn = [];
    this.#held.clear();
  }

  #carry(writes: readonly Write[], held = false): Promise<boolean> {
    const carried = new Promise<boolean>((resolve) => {
      const end = (done: boolean) => {
        for (const write of writes) {
          const id = idOf(write.kind, write.key);
          if (this.#carried.get(id) !== write) continue;
          this.#carried.delete(id);
          // A newer write of the same record has its own end.
          if (!done && !held) this.#hold(write);
        }
        resolve(done);
        if (!done) this.#failed();
      };
      for (const write of writes) this.#carried.set(idOf(write.kind, write.key), write);
      try {
        const database = this.#database();
        if (!database) return end(false);
        const kinds = this.#kinds.filter((kind) => writes.some((write) => write.kind === kind));
        const transaction = database.transaction(kinds, "readwrite", { durability: this.#durability });
        transaction.oncomplete = () => end(true);
        // A full disk, or a database that the browser has closed.
        transaction.onabort = () => end(false);
        for (const { kind, key, value } of writes) {
          const store = transaction.objectStore(kind);
          if (key === undefined) store.clear();
          else if (value === undefined) store.delete(key);
          else store.put(value, key);
        }
        // At once: a page that is left in this moment takes an open transaction with it.
        transaction.commit();
      } catch {
        end(false);
      }
    });
    this.#settled = carried.then(() => {});
    return carried;
  }

  #hold(write: Write): void {
    if (write.key === undefined) {
      for (const [id, { kind }] of this.#held) if (kind === write.kind) this.#held.delete(id);
    }
    const id = idOf(write.kind, write.key);
    this.#held.delete(id);
    this.#held.set(id, write);
  }
}

function idOf(kind: keyof Records, key: Key | undefined): string {
  return key === undefined ? `${kind}*` : `${kind} ${Array.isArray(key) ? key.join(" ") : key}`;
}
