// How far this user has got: delivered marks at most once a second, read marks at once when none
// went in the last second.

import type { Clock } from "./clock.ts";
import { Timer } from "./clock.ts";
import type { Line } from "./session.ts";

interface Mark {
  delivered: number;
  read: number;
}

/** Marks on their way to the server. */
export class Marks {
  readonly #clock: Clock;
  readonly #timer: Timer;
  readonly #waiting = new Map<string, Mark>();
  /** Sent by sessions that may have ended before they arrived; sent again by the next one. */
  readonly #recent = new Map<string, Mark>();
  #session: Line | undefined;
  #lastSent = Number.NEGATIVE_INFINITY;

  constructor(clock: Clock) {
    this.#clock = clock;
    this.#timer = new Timer(clock);
  }

  delivered(conversationId: string, seq: number): void {
    this.#raise(conversationId, seq, 0);
    if (!this.#timer.armed) this.#timer.set(INTERVAL_MS, () => this.flush());
  }

  read(conversationId: string, seq: number): void {
    this.#raise(conversationId, seq, seq);
    const wait = this.#lastSent + INTERVAL_MS - this.#clock.now();
    this.#timer.set(wait, () => this.flush());
  }

  connected(session: Line): void {
    this.#session = session;
    for (const [id, mark] of this.#recent) this.#raise(id, mark.delivered, mark.read);
    this.#recent.clear();
    this.flush();
  }

  disconnected(): void {
    this.#session = undefined;
  }

  /** The logs begin anew: no mark means anything any more. */
  restart(): void {
    this.#waiting.clear();
    this.#recent.clear();
  }

  /** Sends what waits. */
  flush(): void {
    this.#timer.clear();
    if (!this.#session?.open || this.#waiting.size === 0) return;
    this.#lastSent = this.#clock.now();
    const marks = [...this.#waiting].slice(0, MAX_MARKS);
    this.#session.send({
      case: "marks",
      value: {
        marks: marks.map(([conversationId, mark]) => ({
          conversationId,
          deliveredSeq: BigInt(mark.delivered),
          readSeq: BigInt(mark.read),
        })),
      },
    });
    if (this.#recent.size > MAX_MARKS) this.#recent.clear();
    for (const [id, mark] of marks) {
      this.#waiting.delete(id);
      this.#recent.set(id, mark);
    }
    if (this.#waiting.size > 0) this.#timer.set(INTERVAL_MS, () => this.flush());
  }

  #raise(id: string, delivered: number, read: number): void {
    const old = this.#waiting.get(id) ?? { delivered: 0, read: 0 };
    this.#waiting.set(id, { delivered: Math.max(old.delivered, delivered), read: Math.max(old.read, read) });
  }
}

const INTERVAL_MS = 1_000;
/** Marks of one frame. */
const MAX_MARKS = 1_000;
