import { describe, expect, it } from "vitest";
import type { Conversation } from "../src/model.ts";
import { Ordered } from "../src/ordered.ts";

const conversation = (id: number, order: number) => ({ id: String(id), order }) as Conversation;

describe("the order of the list", () => {
  it("is that of a sort, whatever comes, moves and goes", () => {
    let seed = 7;
    const random = (below: number) => (seed = (seed * 48_271) % 2_147_483_647) % below;
    const ordered = new Ordered();
    const all = new Map<string, Conversation>();
    for (let turn = 0; turn < 400; turn++) {
      // Now and then many in one turn; some with the same order.
      for (let i = turn % 50 === 0 ? 60 : random(3); i >= 0; i--) {
        const now = conversation(random(200), random(400));
        if (random(5) === 0) {
          all.delete(now.id);
          ordered.delete(now.id);
        } else {
          all.set(now.id, now);
          ordered.set(now);
        }
      }
      if (turn === 200) {
        all.clear();
        ordered.clear();
      }
      const expected = [...all.values()].sort((a, b) => b.order - a.order || (a.id < b.id ? 1 : -1));
      expect(ordered.get().every((now, i) => now === expected[i]) && ordered.get().length === expected.length, `turn ${turn}`).toBe(true);
    }
    expect(all.size).toBeGreaterThan(50);
  });

  it("leaves what was handed out as it was", () => {
    const ordered = new Ordered();
    for (let i = 0; i < 5; i++) ordered.set(conversation(i, i));
    const before = ordered.get();
    expect(ordered.get()).toBe(before);
    ordered.set(conversation(0, 9));
    expect(ordered.get().map(({ id }) => id)).toEqual(["0", "4", "3", "2", "1"]);
    expect(before.map(({ id }) => id)).toEqual(["4", "3", "2", "1", "0"]);
  });
});
