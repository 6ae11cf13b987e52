// From timeline items to rows: which bubbles belong together, where a day begins, where the unread part begins.

import type { TimelineItem } from "@gogochat/client";
import { sameDay } from "../format/time.ts";

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

/** Builds rows and keeps those that did not change, so that their elements stay. */
export class RowBuilder {
  #kept = new Map<string, Row>();

  /** `unreadAfter`: the read mark when the conversation was opened; undefined when nothing was unread. */
  build(items: readonly TimelineItem[], me: string, unreadAfter: number | undefined): Row[] {
    const kept = new Map<string, Row>();
    let marked = unreadAfter === undefined;
    const rows = items.map((item, i): Row => {
      const before = items[i - 1];
      const unread = !marked && item.seq > (unreadAfter ?? 0) && item.senderId !== me && item.body.kind === "message";
      if (unread) marked = true;
      const day = !before || !sameDay(before.timeMs, item.timeMs);
      const first = day || unread || !together(before, item);
      const row: Row = { item, day, unread, first, more: together(item, items[i + 1]) };
      const old = this.#kept.get(item.key);
      const same = old && old.item === item && old.day === day && old.unread === unread && old.first === first && old.more === row.more;
      const result = same ? old : row;
      kept.set(item.key, result);
      return result;
    });
    this.#kept = kept;
    return rows;
  }
}

/** Bubbles of one sender within 5 minutes. */
function together(a: TimelineItem | undefined, b: TimelineItem | undefined): boolean {
  if (!a || !b || a.body.kind !== "message" || b.body.kind !== "message") return false;
  return a.senderId === b.senderId && b.timeMs - a.timeMs < RUN_MS && sameDay(a.timeMs, b.timeMs);
}

const RUN_MS = 5 * 60_000;
