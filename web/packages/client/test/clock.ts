// A clock that tests turn by hand.

import type { Clock } from "../src/clock.ts";

interface Due {
  readonly at: number;
  callback: (() => void) | undefined;
}

/** Time that moves only when it is told to. */
export class ManualClock implements Clock {
  #now = 1_000;
  /** Ascending; of the same moment, in the order they were set. */
  readonly #due: Due[] = [];

  now(): number {
    return this.#now;
  }

  after(ms: number, callback: () => void): () => void {
    const due: Due = { at: this.#now + Math.max(0, ms), callback };
    let low = 0;
    for (let high = this.#due.length; low < high; ) {
      const middle = (low + high) >> 1;
      if ((this.#due[middle]?.at ?? 0) <= due.at) low = middle + 1;
      else high = middle;
    }
    this.#due.splice(low, 0, due);
    return () => {
      due.callback = undefined;
    };
  }

  /** Lets so much time pass: timers fire in order, and everything that hangs off them runs. */
  async advance(ms: number): Promise<void> {
    const end = this.#now + ms;
    await settle();
    for (;;) {
      const next = this.#due[0];
      if (!next || next.at > end) break;
      this.#due.shift();
      this.#now = next.at;
      if (!next.callback) continue;
      next.callback();
      // What is due at the same moment runs in one go, as a batch of frames would.
      if (this.#due[0]?.at !== next.at) await settle();
    }
    this.#now = end;
  }

  /** Lets time pass, a little at a time, until something holds; fails after `most` milliseconds. The milliseconds it took. */
  async until(holds: () => boolean, most = 60_000): Promise<number> {
    const start = this.#now;
    while (!holds()) {
      if (this.#now - start > most) throw new Error(`does not hold after ${most} ms`);
      await this.advance(5);
    }
    return this.#now - start;
  }
}

/** Runs what waits in the microtask queue, and what IndexedDB has under way. */
export async function settle(): Promise<void> {
  for (let i = 0; i < 12; i++) await Promise.resolve();
}
