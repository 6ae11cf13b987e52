// A browser with tabs: a channel between them and the locks of Web Locks, whose steps run in microtasks.

import type { Locks } from "../src/tabs/leadership.ts";
import type { TabMessage, Tabs } from "../src/tabs/tabs.ts";

/** One tab; `frozen` ones hear nothing and do nothing. */
export interface TestTab extends Tabs {
  /** What the browser does to it. */
  freeze(): void;
  thaw(): void;
  /** It ends without a word, as when its process is killed. */
  crash(): void;
}

interface Claim {
  readonly tab: string;
  readonly grant: () => void;
  readonly fail: () => void;
}

/** What the tabs of a browser share. */
export class Browser {
  readonly #heard = new Map<string, (message: TabMessage) => void>();
  readonly #gone = new Set<string>();
  readonly #frozen = new Map<string, TabMessage[]>();
  #holder: Claim | undefined;
  #queue: Claim[] = [];
  #tabs = 0;

  tab(): TestTab {
    const id = `tab ${++this.#tabs}`;
    const freezes = new Set<(frozen: boolean) => void>();
    return {
      id,
      lock: "lock",
      locks: this.#locks(id),
      post: (message) => {
        if (this.#gone.has(id)) return;
        for (const other of [...this.#heard.keys()]) {
          // A message is a copy.
          if (other !== id) this.#deliver(other, structuredClone(message));
        }
      },
      listen: (callback) => {
        this.#heard.set(id, callback);
        return () => void this.#heard.delete(id);
      },
      onFreeze: (callback) => {
        freezes.add(callback);
        return () => freezes.delete(callback);
      },
      freeze: () => {
        for (const callback of freezes) callback(true);
        this.#frozen.set(id, []);
      },
      thaw: () => {
        const missed = this.#frozen.get(id) ?? [];
        this.#frozen.delete(id);
        for (const callback of freezes) callback(false);
        for (const message of missed) this.#deliver(id, message);
      },
      crash: () => {
        this.#gone.add(id);
        this.#heard.delete(id);
        this.#queue = this.#queue.filter((claim) => claim.tab !== id);
        if (this.#holder?.tab === id) this.#next();
      },
    };
  }

  #deliver(tab: string, message: TabMessage): void {
    queueMicrotask(() => {
      const frozen = this.#frozen.get(tab);
      if (frozen) frozen.push(message);
      else this.#heard.get(tab)?.(message);
    });
  }

  #locks(tab: string): Locks {
    return {
      request: (_name, options, work) =>
        new Promise((resolve, reject) => {
          const fail = () => reject(new DOMException("", "AbortError"));
          const claim: Claim = {
            tab,
            fail,
            grant: () =>
              void Promise.resolve(work()).then(() => {
                resolve(undefined);
                if (this.#holder === claim) this.#next();
              }),
          };
          options.signal?.addEventListener("abort", () => {
            if (!this.#queue.includes(claim)) return;
            this.#queue = this.#queue.filter((other) => other !== claim);
            fail();
          });
          if (options.steal) {
            this.#holder?.fail();
            this.#queue.unshift(claim);
            this.#next();
          } else {
            this.#queue.push(claim);
            if (!this.#holder) this.#next();
          }
        }),
    };
  }

  #next(): void {
    const next = this.#queue.shift();
    this.#holder = next;
    if (next) queueMicrotask(() => next.grant());
  }
}
