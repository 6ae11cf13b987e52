import { describe, expect, it } from "vitest";
import { cut } from "../src/format/cut.ts";

describe("a cut", () => {
  it("leaves what fits, and marks what is left out", () => {
    expect([cut("", 3), cut("abc", 3), cut("abcd", 3)]).toEqual(["", "abc", "abc…"]);
  });

  it("goes through no character that a person sees as one", () => {
    const family = "👨‍👩‍👧‍👦";
    expect(cut(`${"a".repeat(119)}😀!`, 120)).toBe(`${"a".repeat(119)}😀…`);
    expect(cut(family.repeat(3), 2)).toBe(`${family.repeat(2)}…`);
    expect(cut("e\u0301".repeat(5), 2)).toBe("e\u0301e\u0301…");
    expect(cut("🇩🇪🇫🇷🇨🇳", 2)).toBe("🇩🇪🇫🇷…");
    // No half of a pair, also where marks without an end stand on one letter.
    expect(encodeURIComponent(cut(`z${"\u0301".repeat(1_000)}`, 1)).length).toBeGreaterThan(0);
  });
});
