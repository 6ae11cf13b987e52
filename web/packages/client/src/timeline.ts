// What a person sees of a conversation: a window on its log that grows both ways, and behind the
// newest message what is still on its way.

import { GogochatError } from "./errors.ts";
import type { Log } from "./log.ts";
import type { EventBody, LogEvent } from "./model.ts";
import { Cell, Lazy, type Observable } from "./observable.ts";
import type { OutboxEntry, Segment, Storage } from "./storage/storage.ts";

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
  readonly loadingNewer: boolean;
  /** There is nothing before the first item. */
  readonly complete: boolean;
  /** The window reaches to the newest event; what comes is added to it. */
  readonly newest: boolean;
  /** The last attempt to load failed. */
  readonly error: GogochatError["code"] | undefined;
}

/** A conversation's timeline. It lives until its client is closed. */
export class Timeline {
  /** Ascending: events by seq, then what waits in the order of sending. */
  readonly items: Observable<readonly TimelineItem[]>;
  readonly state: Observable<TimelineState>;
  readonly #items: Lazy<readonly TimelineItem[]>;
  readonly #state = new Cell<TimelineState>({
    loading: true,
    loadingOlder: false,
    loadingNewer: false,
    complete: false,
    newest: true,
    error: undefined,
  });
  readonly #log: Log;
  readonly #storage: Storage;
  readonly #logId: string;
  readonly #me: string;
  readonly #firstSeq: () => number;
  #events: TimelineItem[] = [];
  /** The first and the last seq of the window; 0 when it is empty. */
  #from = 0;
  #to = 0;
  /** The window is yet to be put somewhere: what comes does not open one elsewhere. */
  #held = false;
  /** What came while the window was held, or was on its way to another place. */
  #meanwhile: LogEvent[] = [];
  #moving = 0;
  #older: Promise<void> | undefined;
  #newer: Promise<void> | undefined;

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
      const waiting = this.#state.get().newest ? pending() : [];
      return waiting.length === 0 ? this.#events.slice() : [...this.#events, ...waiting.map((e) => fromEntry(e, me))];
    });
    this.items = this.#items;
    this.state = this.#state;
  }

  /**
   * Opens the window, unless it is open: around the event `at`, or on the newest. False when what
   * is there cannot be had now.
   */
  async open(at?: number): Promise<boolean> {
    if (this.#events.length > 0) return true;
    return this.#move(at);
  }

  /** Holds the window back, or lets it open with whatever comes next. */
  hold(held: boolean): void {
    this.#held = held;
    if (!held && this.#moving === 0) this.#meanwhile = [];
  }

  /** The log may have nothing at all. */
  opened(error?: GogochatError["code"]): void {
    this.#set({ loading: false, error });
  }

  /** Moves the window to where the event `at` is, if it is not in it. */
  async moveTo(at: number): Promise<void> {
    if (this.#from <= at && at <= this.#to) return;
    await this.#move(at);
  }

  /** Moves the window to the newest events, if it is not there. */
  async moveToNewest(): Promise<void> {
    if (!this.#state.get().newest) await this.#move(undefined);
  }

  /** Loads what stands before the first item. */
  loadOlder(): Promise<void> {
    this.#older ??= this.#loadOlder().finally(() => {
      this.#older = undefined;
    });
    return this.#older;
  }

  /** Loads what stands behind the last item. */
  loadNewer(): Promise<void> {
    this.#newer ??= this.#loadNewer().finally(() => {
      this.#newer = undefined;
    });
    return this.#newer;
  }

  /** The outbox changed. */
  touch(): void {
    this.#items.touch();
  }

  /** The log grew. */
  added(events: readonly LogEvent[], where: "newest" | "anew" | "older"): void {
    const first = events[0];
    if (where === "older" || !first) return;
    if (this.#held || this.#moving > 0) this.#meanwhile.push(...events);
    if (this.#events.length === 0 && this.#to === 0) {
      if (!this.#held) this.#show(events);
    } else if (first.seq === this.#to + 1) {
      this.#append(events);
    } else {
      // Behind a gap: what is looked at stays, and the way down leads there.
      this.#set({ newest: false });
      this.#items.touch();
    }
  }

  /** The log begins anew. */
  restart(): void {
    this.#from = this.#to = 0;
    this.#events = [];
    this.#items.touch();
    this.#set({ loading: true, complete: false, newest: true, error: undefined });
  }

  async #move(at: number | undefined): Promise<boolean> {
    this.#moving++;
    try {
      return await (at === undefined ? this.#openNewest() : this.#openAround(at));
    } finally {
      this.#moving--;
      if (this.#moving === 0 && !this.#held) this.#meanwhile = [];
    }
  }

  async #openNewest(): Promise<boolean> {
    const segment = this.#log.newest;
    if (!segment) return false;
    const tail = segment[1];
    const events = await this.#read(Math.max(segment[0], tail - WINDOW + 1), tail);
    if (events.length > 0 && this.#to !== this.#log.tail) this.#show(events);
    return this.#to > 0;
  }

  async #openAround(at: number): Promise<boolean> {
    const from = Math.max(this.#firstSeq(), at - BEFORE);
    for (let fetched = false; ; fetched = true) {
      const segment = this.#log.segments.find(([a, b]) => a <= at && at <= b);
      if (segment) {
        const [lo, hi] = [Math.max(segment[0], from), Math.min(segment[1], at + WINDOW)];
        const events = await this.#read(lo, hi);
        const here = events.findIndex((event) => event.seq === at);
        if (here >= 0) {
          this.#show(events);
          return true;
        }
      }
      // Not known to be there, or lost from the device.
      if (fetched || at > this.#log.tail) return false;
      try {
        await this.#log.newer(from - 1, PAGE);
      } catch {
        return false;
      }
    }
  }

  #show(events: readonly LogEvent[]): void {
    this.#from = events[0]?.seq ?? 0;
    this.#to = events.at(-1)?.seq ?? 0;
    this.#events = this.#visible(events);
    this.#items.touch();
    this.#set({ loading: false, complete: this.#from <= this.#firstSeq(), newest: this.#to >= this.#log.tail, error: undefined });
    for (const event of this.#meanwhile.splice(0)) if (event.seq === this.#to + 1) this.#append([event]);
  }

  #append(events: readonly LogEvent[]): void {
    this.#to = events.at(-1)?.seq ?? this.#to;
    this.#events.push(...this.#visible(events));
    this.#items.touch();
    this.#set({ loading: false, newest: this.#to >= this.#log.tail });
  }

  async #loadOlder(): Promise<void> {
    if (this.#from === 0 || this.#from <= this.#firstSeq()) return this.#set({ complete: true });
    this.#set({ loadingOlder: true, error: undefined });
    try {
      const edge = this.#from;
      const to = edge - 1;
      const events = await this.#page(to, () => this.#log.older(edge, PAGE), ([a]) => [Math.max(a, to - PAGE + 1, this.#firstSeq()), to]);
      const first = events[0];
      if (first && this.#from === edge) {
        this.#from = first.seq;
        this.#events = [...this.#visible(events), ...this.#events];
        this.#items.touch();
      }
      this.#set({ loadingOlder: false, complete: this.#from <= this.#firstSeq() || !first });
    } catch (error) {
      this.#set({ loadingOlder: false, error: error instanceof GogochatError ? error.code : "internal" });
    }
  }

  async #loadNewer(): Promise<void> {
    if (this.#to === 0 || this.#state.get().newest) return;
    this.#set({ loadingNewer: true, error: undefined });
    try {
      const from = this.#to + 1;
      const events = await this.#page(from, () => this.#log.newer(from - 1, PAGE), ([, b]) => [from, Math.min(b, from + PAGE - 1)]);
      if (events.length > 0 && this.#to === from - 1) this.#append(events);
      this.#set({ loadingNewer: false });
    } catch (error) {
      this.#set({ loadingNewer: false, error: error instanceof GogochatError ? error.code : "internal" });
    }
  }

  /**
   * The events of a range that begins or ends at `edge`: from the device, or fetched when it has
   * them not, or not any more.
   */
  async #page(edge: number, fetch: () => Promise<void>, range: (segment: Segment) => Segment): Promise<LogEvent[]> {
    for (let fetched = false; ; fetched = true) {
      const segment = this.#log.segments.find(([a, b]) => a <= edge && edge <= b);
      if (segment) {
        const [from, to] = range(segment);
        const events = await this.#read(from, to);
        if (events.some((event) => event.seq === edge)) return events;
      }
      if (fetched) return [];
      await fetch();
    }
  }

  /**
   * Reads a range that ought to be here; what the device has lost is marked as missing and fetched
   * the next time.
   */
  async #read(from: number, to: number): Promise<LogEvent[]> {
    const events = await this.#storage.events(this.#logId, from, to);
    if (events.length === to - from + 1) return events;
    const there = new Set(events.map((event) => event.seq));
    for (let seq = from; seq <= to; seq++) if (!there.has(seq)) this.#log.lose(seq, seq);
    // Of what is left, the run at the end.
    let whole = events.length;
    while (whole > 0 && events[whole - 1]?.seq === to - (events.length - whole)) whole--;
    return events.slice(whole);
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
/** Events shown before the one that a window is opened around. */
const BEFORE = 20;
/** Events added by each step. */
const PAGE = 100;
