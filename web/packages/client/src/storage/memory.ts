// Records in memory: where there is no IndexedDB, and in tests.

import type { LogEvent } from "../model.ts";
import { Cell } from "../observable.ts";
import { BLOCKED, EPOCH, type Key, type OutboxEntry, OWN_SEQ, POSITION, type Records, type Snapshot, type Storage } from "./storage.ts";

/** Keeps records as long as the page lives. */
export class MemoryStorage implements Storage {
  readonly kept = new Cell(false);
  readonly #kinds = new Map<keyof Records, Map<Key, unknown>>();
  readonly #events = new Map<string, Map<number, LogEvent>>();

  async load(): Promise<Snapshot> {
    const all = <K extends keyof Records>(kind: K) => [...this.#kind(kind).values()] as Records[K][];
    return {
      ownSeq: this.#kind("meta").get(OWN_SEQ) as number | undefined,
      epoch: this.#kind("meta").get(EPOCH) as string | undefined,
      position: (this.#kind("meta").get(POSITION) as number | undefined) ?? 0,
      blocked: (this.#kind("meta").get(BLOCKED) as string | undefined) ?? "",
      conversations: all("conversations"),
      contacts: all("contacts"),
      people: all("people"),
      outbox: await this.outbox(),
    };
  }

  async outbox(): Promise<OutboxEntry[]> {
    return ([...this.#kind("outbox").values()] as OutboxEntry[]).sort((a, b) => a.n - b.n);
  }

  onReturn(): () => void {
    return () => {};
  }

  put<K extends keyof Records>(kind: K, key: Key, value: Records[K]): void {
    if (!Array.isArray(key)) return void this.#kind(kind).set(key, value);
    const [logId, seq] = key;
    let log = this.#events.get(logId);
    if (!log) this.#events.set(logId, (log = new Map()));
    log.set(seq, value as LogEvent);
  }

  delete(kind: keyof Records, key: Key): void {
    this.#kind(kind).delete(key);
  }

  clear(kind: keyof Records): void {
    if (kind === "events") this.#events.clear();
    else this.#kind(kind).clear();
  }

  async events(logId: string, from: number, to: number): Promise<LogEvent[]> {
    const log = this.#events.get(logId);
    const found: LogEvent[] = [];
    for (let seq = from; log && seq <= to; seq++) {
      const event = log.get(seq);
      if (event) found.push(event);
    }
    return found;
  }

  async flush(): Promise<void> {}

  async destroy(): Promise<void> {
    this.#kinds.clear();
    this.#events.clear();
  }

  close(): void {}

  #kind(kind: keyof Records): Map<Key, unknown> {
    let records = this.#kinds.get(kind);
    if (!records) this.#kinds.set(kind, (records = new Map()));
    return records;
  }
}
