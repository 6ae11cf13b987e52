import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { isVisible, trim } from "../src/text.ts";

const file = new URL("../../../../proto/text/vectors.json", import.meta.url);
const vectors: { blank: string[]; visible: string[]; trimmed: [string, string][] } = JSON.parse(readFileSync(file, "utf8"));

describe("a text", () => {
  it("shows something, or not, by the server's rule", () => {
    expect(vectors.blank.filter(isVisible)).toEqual([]);
    expect(vectors.visible.filter((text) => !isVisible(text))).toEqual([]);
    expect(vectors.blank.length + vectors.visible.length).toBeGreaterThan(40);
  });

  it.runIf(process.versions["unicode"] === "17.0")("is of characters that are blank by Unicode 17.0, and no other", () => {
    const blank = /^[\p{White_Space}\p{Cc}\p{M}\p{Default_Ignorable_Code_Point}\u2800\ufeff]$/u;
    const edge = /^[\p{White_Space}\ufeff]$/u;
    const differs: number[] = [];
    // Of ideographs and of what is for private use, some.
    for (let code = 0; code < 0x110000; code += code < 0x20000 || code >> 12 === 0xe0 ? 1 : 61) {
      const text = String.fromCodePoint(code);
      if (isVisible(text) === blank.test(text) || (trim(text) === "") !== edge.test(text)) differs.push(code);
    }
    expect(differs).toEqual([]);
  });

  it("is trimmed by the server's rule", () => {
    expect(vectors.trimmed.map(([text]) => [text, trim(text)])).toEqual(vectors.trimmed);
  });

  it("of the largest size takes no time, whatever is in it", () => {
    const hostile = `a${" ".repeat(16_000)}a${"\u0301".repeat(300)}`;
    expect([trim(hostile).length, isVisible(" ".repeat(16_000)), isVisible(hostile)]).toEqual([hostile.length, false, true]);
  });
});
