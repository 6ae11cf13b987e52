// Which of a device's tabs leads: the one that holds a lock of the browser's, which goes to the
// next tab when this one is closed.

import { Cell, type Observable } from "../observable.ts";

/** The part of the Web Locks API that is used. */
export interface Locks {
  request(name: string, options: LockOptions, callback: () => Promise<void> | undefined): Promise<unknown>;
}

/** The claim of one tab to lead. */
export class Leadership {
  readonly leading: Observable<boolean>;
  readonly #leading = new Cell(false);
  readonly #locks: Locks;
  readonly #name: string;
  /** Ends the claim that is made at the moment, whether it was heard or not. */
  #withdraw: (() => void) | undefined;

  constructor(locks: Locks, name: string) {
    this.leading = this.#leading;
    this.#locks = locks;
    this.#name = name;
  }

  /** Leads as soon as no other tab does. */
  queue(): void {
    if (!this.#withdraw) this.#claim(false);
  }

  /** Leads now: whoever does is not there any more, or not for a person. */
  steal(): void {
    if (this.#leading.get()) return;
    this.#withdraw?.();
    this.#claim(true);
  }

  /** Lets another tab lead, and does not ask to. */
  resign(): void {
    this.#withdraw?.();
    this.#withdraw = undefined;
    this.#leading.set(false);
  }

  #claim(steal: boolean): void {
    const waiting = new AbortController();
    let release = () => {};
    let withdrawn = false;
    const withdraw = () => {
      withdrawn = true;
      waiting.abort();
      release();
    };
    this.#withdraw = withdraw;
    const held = () => {
      if (withdrawn) return undefined;
      const end = new Promise<void>((resolve) => {
        release = resolve;
      });
      this.#leading.set(true);
      return end;
    };
    const over = () => {
      if (this.#withdraw !== withdraw) return;
      // Stolen: behind the others again.
      this.#withdraw = undefined;
      this.#leading.set(false);
      this.queue();
    };
    this.#locks.request(this.#name, steal ? { steal } : { signal: waiting.signal }, held).then(over, over);
  }
}
