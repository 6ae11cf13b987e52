// What a person sees of a conversation: a window on the newest part of its log that grows upwards, then what is still on its way.

import { GogochatError } from "./errors.ts";
import type { Log } from "./log.ts";
import type { EventBody, LogEvent } from "./model.ts";
import { Cell, Lazy, type Observable } from "./observable.ts";
import type { OutboxEntry, Storage } from "./storage/storage.ts";

/** One entry of a timeline. */
export interface TimelineItem {
  /** Stays the same from the first keystroke to the last tick. */
  readonly key: string;
  /** 0 while it has no place in the log. */
  readonly seq: number;
  readonly timeMs: number;
  readonly senderId: string;
  readonly body: EventBody;
  /** `sending` also while there is no connection. */
  readonly state: "committed" | "sending" | "failed";
  readonly error: GogochatError["code"] | undefined;
  /** Of the sender's command; for retry and discard. */
  readonly clientMsgId: string;
}

/** How loading stands. */
export interface TimelineState {
  /** The first page is not here yet. */
  readonly loading: boolean;
  readonly loadingOlder: boolean;
  /** There is nothing before the first item. */
  readonly complete: boolean;
  /** The last attempt to load failed. */
  readonly error: GogochatError["code"] | undefined;
}

/** A conversation's timeline. It lives until its client is closed. */
export class Timeline {
  /** Ascending: events by seq, then what waits in the order of sending. */
  readonly items: Observable<readonly TimelineItem[]>;
  readonly state: Observable<TimelineState>;
  readonly #items: Lazy<readonly TimelineItem[]>;
  readonly #state = new Cell<TimelineState>({ loading: true, loadingOlder: false, complete: false, error: undefined });
  readonly #log: Log;
  readonly #storage: Storage;
  readonly #logId: string;
  readonly #me: string;
  readonly #firstSeq: () => number;
  #events: TimelineItem[] = [];
  /** The first seq of the window; one past the tail when it is empty. */
  #from = 0;
  #older: Promise<void> | undefined;

  constructor(
    log: Log,
    storage: Storage,
    logId: string,
    me: string,
    firstSeq: () => number,
    pending: () => readonly OutboxEntry[],
  ) {
    this.#log = log;
    this.#storage = storage;
    this.#logId = logId;
    this.#me = me;
    this.#firstSeq = firstSeq;
    this.#items = new Lazy<readonly TimelineItem[]>(() => {
      const waiting = pending();
      return waiting.length === 0 ? this.#events.slice() : [...this.#events, ...waiting.map((e) => fromEntry(e, me))];
    });
    this.items = this.#items;
    this.state = this.#state;
  }

  /** Shows what is on the device; true when that is anything. */
  async open(): Promise<boolean> {
    const segment = this.#log.newest;
    if (!segment) return false;
    const tail = segment[1];
    const events = await this.#read(Math.max(segment[0], tail - WINDOW + 1), tail);
    if (this.#events.length === 0 && events.length > 0) this.#show(events);
    return this.#events.length > 0;
  }

  /** The log may have nothing at all. */
  opened(error?: GogochatError["code"]): void {
    this.#set({ loading: false, error });
  }

  /** Loads what stands before the first item. */
  loadOlder(): Promise<void> {
    this.#older ??= this.#loadOlder().finally(() => {
      this.#older = undefined;
    });
    return this.#older;
  }

  /** The outbox changed. */
  touch(): void {
    this.#items.touch();
  }

  /** The log grew. */
  added(events: readonly LogEvent[], where: "newest" | "anew" | "older"): void {
    if (where === "older") return;
    if (where === "anew" || this.#events.length === 0) return this.#show(events);
    this.#events.push(...this.#visible(events));
    this.#items.touch();
    if (this.#state.get().loading) this.#set({ loading: false });
  }

  /** The log begins anew. */
  restart(): void {
    this.#from = 0;
    this.#events = [];
    this.#items.touch();
    this.#set({ loading: true, complete: false, error: undefined });
  }

  #show(events: readonly LogEvent[]): void {
    this.#from = events[0]?.seq ?? 0;
    this.#events = this.#visible(events);
    this.#items.touch();
    this.#set({ loading: false, complete: this.#from <= this.#firstSeq(), error: undefined });
  }

  async #loadOlder(): Promise<void> {
    if (this.#from === 0 || this.#from <= this.#firstSeq()) return this.#set({ complete: true });
    this.#set({ loadingOlder: true, error: undefined });
    try {
      const to = this.#from - 1;
      if (!this.#log.has(to)) await this.#log.older(this.#from, PAGE);
      const segment = this.#log.segments.find(([a, b]) => a <= to && to <= b);
      const from = Math.max(segment?.[0] ?? to, to - PAGE + 1, this.#firstSeq());
      const events = await this.#read(from, to);
      const first = events[0];
      if (first && events.at(-1)?.seq === to && this.#from === to + 1) {
        this.#from = first.seq;
        this.#events = [...this.#visible(events), ...this.#events];
        this.#items.touch();
      }
      this.#set({ loadingOlder: false, complete: this.#from <= this.#firstSeq() || !first });
    } catch (error) {
      this.#set({ loadingOlder: false, error: error instanceof GogochatError ? error.code : "internal" });
    }
  }

  /** Reads a range that ought to be here; what the device has lost is marked as missing and fetched the next time. */
  async #read(from: number, to: number): Promise<LogEvent[]> {
    const events = await this.#storage.events(this.#logId, from, to);
    if (events.length === to - from + 1) return events;
    let whole = events.length;
    while (whole > 0 && events[whole - 1]?.seq === to - (events.length - whole)) whole--;
    const kept = events.slice(whole);
    this.#log.lose(from, (kept[0]?.seq ?? to + 1) - 1);
    return kept;
  }

  #visible(events: readonly LogEvent[]): TimelineItem[] {
    return events.filter((event) => event.body.kind !== "unknown").map((event) => fromEvent(event, this.#me));
  }

  #set(change: Partial<TimelineState>): void {
    this.#state.set({ ...this.#state.get(), ...change });
  }
}

function fromEvent(event: LogEvent, me: string): TimelineItem {
  return {
    key: event.senderId === me && event.clientMsgId ? event.clientMsgId : String(event.seq),
    seq: event.seq,
    timeMs: event.timeMs,
    senderId: event.senderId,
    body: event.body,
    state: "committed",
    error: undefined,
    clientMsgId: event.clientMsgId,
  };
}

function fromEntry(entry: OutboxEntry, me: string): TimelineItem {
  return {
    key: entry.clientMsgId,
    seq: 0,
    timeMs: entry.timeMs,
    senderId: me,
    body: { kind: "message", text: entry.text },
    state: entry.error ? "failed" : "sending",
    error: entry.error,
    clientMsgId: entry.clientMsgId,
  };
}

/** Events shown at first. */
const WINDOW = 60;
/** Events added by each step upwards. */
const PAGE = 100;
