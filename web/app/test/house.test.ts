import { readdirSync, readFileSync, statSync } from "node:fs";
import { dirname, join, relative } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";

/** From the ground up: a file imports from its own folder and from those before it. */
const LAYERS = ["i18n", "format", "state", "ui", "views", ""];
const src = fileURLToPath(new URL("../src", import.meta.url));

function files(folder: string): string[] {
  return readdirSync(folder).flatMap((name) => {
    const path = join(folder, name);
    return statSync(path).isDirectory() ? files(path) : /\.tsx?$/.test(name) ? [path] : [];
  });
}

const layerOf = (path: string) => LAYERS.indexOf(dirname(relative(src, path)).replace(/^\.$/, ""));

describe("the page's house", () => {
  it("has no arrow upwards between its folders", () => {
    const arrows = files(src).flatMap((path) =>
      [...readFileSync(path, "utf8").matchAll(/(?:from|import\() ?"(\.[^"]+)"/g)].map(([, name = ""]) => [path, join(dirname(path), name)] as const),
    );
    expect(arrows.length).toBeGreaterThan(100);
    const upwards = arrows.filter(([from, to]) => layerOf(to) > layerOf(from)).map(([from, to]) => `${relative(src, from)} -> ${relative(src, to)}`);
    expect(upwards).toEqual([]);
  });
});
