// The conversations in the order of the list. A change costs a search and a copy of the list, not a sort.

import type { Conversation } from "./model.ts";

/** The most recently moved first. */
export class Ordered {
  #list: readonly Conversation[] = [];
  /** Each conversation as it stands in the list. */
  readonly #placed = new Map<string, Conversation>();
  /** What has changed since; undefined: it is gone. */
  readonly #changed = new Map<string, Conversation | undefined>();

  set(conversation: Conversation): void {
    this.#changed.set(conversation.id, conversation);
  }

  delete(id: string): void {
    this.#changed.set(id, undefined);
  }

  clear(): void {
    this.#changed.clear();
    this.#placed.clear();
    this.#list = [];
  }

  /** The list as it is now. What was handed out before does not change. */
  get(): readonly Conversation[] {
    if (this.#changed.size === 0) return this.#list;
    this.#list = this.#changed.size > FEW ? this.#sorted() : this.#moved();
    this.#changed.clear();
    return this.#list;
  }

  #moved(): Conversation[] {
    const list = [...this.#list];
    for (const [id, now] of this.#changed) {
      const before = this.#placed.get(id);
      const at = before ? placeOf(list, before) : -1;
      if (now) this.#placed.set(id, now);
      else this.#placed.delete(id);
      if (before && now && compare(before, now) === 0) {
        list[at] = now;
        continue;
      }
      if (before) list.splice(at, 1);
      if (now) list.splice(placeOf(list, now), 0, now);
    }
    return list;
  }

  #sorted(): Conversation[] {
    for (const [id, now] of this.#changed) {
      if (now) this.#placed.set(id, now);
      else this.#placed.delete(id);
    }
    return [...this.#placed.values()].sort(compare);
  }
}

function compare(a: Conversation, b: Conversation): number {
  return b.order - a.order || (a.id < b.id ? 1 : a.id > b.id ? -1 : 0);
}

/** Where it is, or would be. */
function placeOf(list: readonly Conversation[], conversation: Conversation): number {
  let [low, high] = [0, list.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    const other = list[middle];
    if (other && compare(other, conversation) < 0) low = middle + 1;
    else high = middle;
  }
  return low;
}

/** So many changes are sorted in at one go. */
const FEW = 32;
