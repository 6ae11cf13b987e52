// Time, passed in: whatever waits or measures takes a clock, so that tests can turn it by hand.

/** A source of time and timers. */
export interface Clock {
  /** Milliseconds, monotonic. */
  now(): number;
  /** Calls back once after so many milliseconds; the result cancels it. */
  after(ms: number, callback: () => void): () => void;
}

/** The machine's own clock. */
export const systemClock: Clock = {
  now: () => performance.now(),
  after: (ms, callback) => {
    const id = setTimeout(callback, ms);
    return () => clearTimeout(id);
  },
};

/** A timer that can be set anew: a later `set` replaces the earlier. */
export class Timer {
  #cancel: (() => void) | undefined;
  readonly #clock: Clock;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Whether a call is due. */
  get armed(): boolean {
    return this.#cancel !== undefined;
  }

  set(ms: number, callback: () => void): void {
    this.clear();
    this.#cancel = this.#clock.after(Math.max(0, ms), () => {
      this.#cancel = undefined;
      callback();
    });
  }

  clear(): void {
    this.#cancel?.();
    this.#cancel = undefined;
  }
}

/** Waiting times of which each is any part of a limit that doubles from `first` to `most`: clients which were cut together come back evenly over all of it. */
export class Backoff {
  #next: number;

  constructor(
    readonly first: number,
    readonly most: number,
    readonly random: () => number = Math.random,
  ) {
    this.#next = first;
  }

  /** The next waiting time, milliseconds. */
  next(): number {
    const base = this.#next;
    this.#next = Math.min(this.most, base * 2);
    return base * this.random();
  }

  reset(): void {
    this.#next = this.first;
  }
}
