// From timeline items to rows: which bubbles belong together, where a day begins, where the unread
// part begins.

import type { TimelineItem } from "@gogochat/client";
import { dayNumber } from "../format/day.ts";

/** One row of a timeline. */
export interface Row {
  readonly item: TimelineItem;
  /** A day begins here. */
  readonly day: boolean;
  /** What was unread when the conversation was opened begins here. */
  readonly unread: boolean;
  /** The first, and not the last, of a run of one sender. */
  readonly first: boolean;
  readonly more: boolean;
}

/**
 * Builds rows. Those whose items and neighbours did not change are kept, so that neither they nor
 * their elements are made again.
 */
export class RowBuilder {
  #items: readonly TimelineItem[] = [];
  #rows: Row[] = [];
  #unread: TimelineItem | undefined;
  #zone: string | undefined;
  #days = new WeakMap<TimelineItem, number>();

  /**
   * `unreadAfter`: the read mark when the conversation was opened; undefined when nothing was
   * unread. `zone`: in which days are told apart.
   */
  build(items: readonly TimelineItem[], me: string, unreadAfter: number | undefined, zone = ""): Row[] {
    const before = this.#items;
    const unread = unreadAfter === undefined ? undefined : items.find((item) => isUnread(item, me, unreadAfter));
    const anew = zone !== this.#zone || unread?.key !== this.#unread?.key;
    if (zone !== this.#zone) this.#days = new WeakMap();
    this.#zone = zone;
    this.#unread = unread;
    const most = anew ? 0 : Math.min(before.length, items.length);
    let head = 0;
    while (head < most && items[head] === before[head]) head++;
    let tail = 0;
    while (tail < most - head && items[items.length - 1 - tail] === before[before.length - 1 - tail]) tail++;
    // The rows at the seams have a new neighbour.
    const from = Math.max(0, head - 1);
    const to = Math.min(items.length, items.length - tail + 1);
    const kept = new Map(this.#rows.slice(from, anew ? undefined : before.length - tail + 1).map((row) => [row.item.key, row]));
    const built: Row[] = [];
    for (let i = from; i < to; i++) {
      const row = this.#row(items, i, unread);
      const old = row && kept.get(row.item.key);
      if (row) built.push(old && same(old, row) ? old : row);
    }
    this.#rows = [...this.#rows.slice(0, from), ...built, ...(to < items.length ? this.#rows.slice(before.length - (items.length - to)) : [])];
    this.#items = items;
    return this.#rows;
  }

  #row(items: readonly TimelineItem[], i: number, unreadItem: TimelineItem | undefined): Row | undefined {
    const item = items[i];
    if (!item) return undefined;
    const before = items[i - 1];
    const next = items[i + 1];
    const unread = item === unreadItem;
    const day = !before || this.#day(before) !== this.#day(item);
    return { item, day, unread, first: day || unread || !this.#together(before, item), more: next !== unreadItem && this.#together(item, next) };
  }

  /** Bubbles of one sender within 5 minutes. */
  #together(a: TimelineItem | undefined, b: TimelineItem | undefined): boolean {
    if (!a || !b || a.body.kind !== "message" || b.body.kind !== "message") return false;
    return a.senderId === b.senderId && b.timeMs - a.timeMs < RUN_MS && this.#day(a) === this.#day(b);
  }

  #day(item: TimelineItem): number {
    let day = this.#days.get(item);
    if (day === undefined) this.#days.set(item, (day = dayNumber(item.timeMs)));
    return day;
  }
}

function isUnread(item: TimelineItem, me: string, after: number): boolean {
  return item.seq > after && item.senderId !== me && item.body.kind === "message";
}

function same(a: Row, b: Row): boolean {
  return a.item === b.item && a.day === b.day && a.unread === b.unread && a.first === b.first && a.more === b.more;
}

const RUN_MS = 5 * 60_000;
