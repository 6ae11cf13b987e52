// The log of one conversation on this device: which of its events are here, and how the missing
// ones are fetched.
// Its newest segment grows in seq order, each event once; what came ahead of a gap waits until the
// gap is closed.

import { type Clock, Timer } from "./clock.ts";
import type { LogEvent } from "./model.ts";
import type { Segment } from "./storage/storage.ts";

/** A page of a log. */
export interface Page {
  readonly events: readonly LogEvent[];
  readonly lastSeq: number;
}

/** Reads a page of at most `limit` events just after `after`, or just before `before` (0: the newest). */
export type FetchPage = (from: { after: number } | { before: number }, limit: number) => Promise<Page>;

/** What a log reports. */
export interface LogEvents {
  /**
   * Events stand in the log now, ascending and without gaps among them.
   * `newest`: they continue the newest segment, or (`anew`) are a newest segment that begins
   * behind a gap; otherwise they are older.
   */
  added(events: readonly LogEvent[], where: "newest" | "anew" | "older"): void;
}

/** The part of a log that is on this device. */
export class Log {
  #segments: Segment[];
  readonly #fetch: FetchPage;
  readonly #events: LogEvents;
  readonly #timer: Timer;
  readonly #ahead = new Map<number, LogEvent>();
  /** The first seq that may be read. */
  readonly #firstSeq: () => number;
  /** The end of the log as far as it is known. */
  #target = 0;
  #catching: Promise<void> | undefined;

  constructor(segments: readonly Segment[], firstSeq: () => number, fetch: FetchPage, clock: Clock, events: LogEvents) {
    this.#segments = [...segments];
    this.#firstSeq = firstSeq;
    this.#fetch = fetch;
    this.#events = events;
    this.#timer = new Timer(clock);
  }

  get segments(): readonly Segment[] {
    return this.#segments;
  }

  /** The newest segment; undefined while nothing is here. */
  get newest(): Segment | undefined {
    return this.#segments.at(-1);
  }

  /** The last event of the newest segment; 0 while nothing is here. */
  get tail(): number {
    return this.newest?.[1] ?? 0;
  }

  has(seq: number): boolean {
    return this.#segments.some(([from, to]) => from <= seq && seq <= to);
  }

  /** Takes an event that came live, or that is known from its acknowledgement. */
  receive(event: LogEvent): void {
    if (this.has(event.seq)) return;
    if (this.#follows(event.seq)) {
      this.#add([event]);
      return this.#drain();
    }
    // Behind the tail, in a gap of old: it is fetched when somebody scrolls there.
    if (event.seq < this.tail) return;
    if (this.#ahead.size < MAX_AHEAD) this.#ahead.set(event.seq, event);
    this.#target = Math.max(this.#target, event.seq);
    // What is missing is most likely on its way.
    if (!this.#timer.armed) this.#timer.set(GAP_PATIENCE_MS, () => void this.catchUp(0));
  }

  /**
   * Fetches up to the end of the log: all that is missing when that is little, else the newest
   * page, which leaves a gap.
   * Ends early, without a word, when there is no connection: the next one begins with it again.
   */
  catchUp(lastSeq: number): Promise<void> {
    this.#target = Math.max(this.#target, lastSeq);
    if (this.#catching) return this.#catching;
    const catching = this.#catchUp().finally(() => {
      if (this.#catching === catching) this.#catching = undefined;
    });
    return (this.#catching = catching);
  }

  /** Fetches the page before `seq`, which has to be the beginning of a segment. Rejects when it cannot. */
  async older(seq: number, limit: number): Promise<void> {
    const { events } = await this.#fetch({ before: seq }, limit);
    this.#add(events);
  }

  /** Fetches the page behind `seq`. Rejects when it cannot. */
  async newer(seq: number, limit: number): Promise<void> {
    const { events } = await this.#fetch({ after: seq }, limit);
    this.#add(events);
  }

  /** A range turned out not to be here after all. */
  lose(from: number, to: number): void {
    this.#segments = this.#segments.flatMap(([a, b]): Segment[] => {
      const parts: Segment[] = [];
      if (a < from) parts.push([a, Math.min(b, from - 1)]);
      if (b > to) parts.push([Math.max(a, to + 1), b]);
      return from > b || to < a ? [[a, b]] : parts;
    });
  }

  /** The server's log is not the one this was: nothing is here. */
  restart(): void {
    this.#segments = [];
    this.#ahead.clear();
    this.#timer.clear();
    this.#target = 0;
    this.#catching = undefined;
  }

  async #catchUp(): Promise<void> {
    while (this.tail < this.#target) {
      const tail = this.tail;
      const near = tail > 0 && this.#target - tail <= FILL;
      let page: Page;
      try {
        page = await this.#fetch(near ? { after: tail } : { before: 0 }, near ? FILL : PAGE);
      } catch {
        return;
      }
      // A log that ends before the target: what was told of its end came from elsewhere.
      this.#target = Math.max(page.lastSeq, ...this.#ahead.keys());
      if (page.events.length === 0) return;
      this.#add(page.events);
      this.#drain();
      if (this.tail <= tail) return;
    }
  }

  #follows(seq: number): boolean {
    return this.newest ? seq === this.tail + 1 : seq <= this.#firstSeq();
  }

  #drain(): void {
    const run: LogEvent[] = [];
    for (const [seq, event] of [...this.#ahead].sort(([a], [b]) => a - b)) {
      const next = (run.at(-1)?.seq ?? this.tail) + 1;
      if (seq > next) break;
      this.#ahead.delete(seq);
      if (seq === next) run.push(event);
    }
    if (run.length > 0) this.#add(run);
    if (this.#ahead.size === 0) this.#timer.clear();
  }

  /** Adds events without gaps among them; those that are here already are passed over. */
  #add(events: readonly LogEvent[]): void {
    const tail = this.tail;
    const fresh = events.filter((event) => !this.has(event.seq));
    const first = events[0];
    const last = events.at(-1);
    if (!first || !last || fresh.length === 0) return;
    const where = last.seq <= tail ? "older" : tail === 0 || first.seq <= tail + 1 ? "newest" : "anew";
    this.#segments = merge(this.#segments, [first.seq, last.seq]);
    this.#events.added(fresh, where);
  }
}

/** Segments with one more, joined with those it touches. */
export function merge(segments: readonly Segment[], [from, to]: Segment): Segment[] {
  const apart = segments.filter(([a, b]) => b < from - 1 || a > to + 1);
  const touching = segments.filter(([a, b]) => b >= from - 1 && a <= to + 1);
  const joined: Segment = [Math.min(from, ...touching.map(([a]) => a)), Math.max(to, ...touching.map(([, b]) => b))];
  return [...apart, joined].sort(([a], [b]) => a - b);
}

/** A gap that is not longer is filled at once. */
const FILL = 500;
/** Events of a newest page. */
const PAGE = 100;
/** Events kept ahead of a gap; the rest is fetched. */
const MAX_AHEAD = 1_000;
const GAP_PATIENCE_MS = 300;
