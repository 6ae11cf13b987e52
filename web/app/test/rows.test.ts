import type { TimelineItem } from "@gogochat/client";
import { describe, expect, it } from "vitest";
import { RowBuilder } from "../src/state/rows.ts";

const noon = new Date(2026, 4, 5, 12).getTime();

function item(seq: number, senderId: string, minutes: number): TimelineItem {
  return {
    key: String(seq),
    seq,
    senderId,
    timeMs: noon + minutes * 60_000,
    body: { kind: "message", text: "x" },
    state: "committed",
    error: undefined,
    clientMsgId: "",
  };
}

describe("rows", () => {
  it("group what one person says within 5 minutes", () => {
    const rows = new RowBuilder().build([item(1, "a", 0), item(2, "a", 4), item(3, "a", 10), item(4, "b", 11)], "b", undefined);
    expect(rows.map(({ first, more }) => [first, more])).toEqual([
      [true, true],
      [false, false],
      [true, false],
      [true, false],
    ]);
  });

  it("begin a day at midnight, and a group with it", () => {
    const rows = new RowBuilder().build([item(1, "a", 719), item(2, "a", 721)], "b", undefined);
    expect(rows.map(({ day, first }) => [day, first])).toEqual([
      [true, true],
      [true, true],
    ]);
  });

  it("mark once where the unread part begins: at another's message past the mark", () => {
    const items = [item(1, "a", 0), item(2, "me", 1), item(3, "a", 2), item(4, "a", 3)];
    const unread = (after: number | undefined) => new RowBuilder().build(items, "me", after).map((row) => row.unread);
    expect(unread(1)).toEqual([false, false, true, false]);
    expect(unread(undefined)).toEqual([false, false, false, false]);
  });

  it("keep the object of a row that did not change, whatever comes before or behind it", () => {
    const builder = new RowBuilder();
    const items = [item(10, "a", 0), item(11, "b", 1), item(12, "a", 2)];
    const before = builder.build(items, "b", undefined);
    const after = builder.build([item(9, "c", -1), ...items, item(13, "b", 3)], "b", undefined);
    // The first loses its day divider; the others stay what they were.
    expect(after.slice(2, 4)).toEqual([before[1], before[2]]);
    expect(after[2]).toBe(before[1]);
    expect(after[3]).toBe(before[2]);
  });

  it("are the same built in steps as built at once, whatever changes at either end or between", () => {
    let state = 7;
    const random = (below: number) => (state = (state * 1103515245 + 12345) & 0x7fffffff) % below;
    let items = [item(500, "a", 0)];
    const builder = new RowBuilder();
    let after: number | undefined;
    for (let step = 0; step < 400; step++) {
      const [first, last] = [items[0]?.seq ?? 0, items.at(-1)?.seq ?? 0];
      const dice = random(10);
      if (dice < 4) items = [...items, item(last + 1, "ab"[random(2)] ?? "a", last + random(9))];
      else if (dice < 6) items = [item(first - 1, "ab"[random(2)] ?? "a", first - 700), ...items];
      else if (dice < 7) items = items.map((it, i) => (i === random(items.length) ? { ...it } : it));
      else if (dice < 8 && items.length > 3) items = items.slice(random(2), items.length - random(2));
      else if (dice < 9) after = random(3) === 0 ? undefined : first + random(items.length);
      const built = builder.build(items, "b", after);
      expect(built, `step ${step}`).toEqual(new RowBuilder().build(items, "b", after));
    }
  });

  it("of 50,000 messages take one more in less than a frame", () => {
    const builder = new RowBuilder();
    let items = Array.from({ length: 50_000 }, (_, i) => item(i, "ab"[i % 2] ?? "a", i));
    builder.build(items, "b", undefined);
    const made = builder.build(items, "b", undefined);
    items = [...items, item(50_000, "a", 50_000)];
    const more = builder.build(items, "b", undefined);
    expect(more.length).toBe(50_001);
    // All but the two at the seam are the rows that were there.
    expect(more.filter((row, i) => row !== made[i]).length).toBeLessThanOrEqual(2);
  });
});
