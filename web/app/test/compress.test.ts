import { randomBytes } from "node:crypto";
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { brotliDecompressSync, gunzipSync } from "node:zlib";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { compressFolder } from "../build/compress.ts";

describe("the compressed files of a build", () => {
  const text = "const greeting = 'hello, 你好';\n".repeat(200);
  let folder: string;
  const path = (name: string) => join(folder, name);

  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), "gogochat-compress-"));
    mkdirSync(path("assets"));
    mkdirSync(path(".vite"));
    writeFileSync(path("assets/a.js"), text);
    // Bytes that repeat nothing, as in an image.
    writeFileSync(path("image.png"), randomBytes(4_096));
    writeFileSync(path("tiny.txt"), "hi");
    writeFileSync(path("empty.txt"), "");
    writeFileSync(path(".vite/manifest.json"), text);
    compressFolder(folder);
  });
  afterEach(() => rmSync(folder, { recursive: true }));

  const files = () => (readdirSync(folder, { recursive: true }) as string[]).filter((name) => statSync(path(name)).isFile()).sort();

  it("hold what the file holds", () => {
    expect(brotliDecompressSync(readFileSync(path("assets/a.js.br"))).toString()).toBe(text);
    expect(gunzipSync(readFileSync(path("assets/a.js.gz"))).toString()).toBe(text);
    expect(readFileSync(path("assets/a.js"), "utf8")).toBe(text);
  });

  it("are there only where they save something, and not of hidden files", () => {
    const scripts = ["assets/a.js", "assets/a.js.br", "assets/a.js.gz"];
    expect(files()).toEqual([".vite/manifest.json", ...scripts, "empty.txt", "image.png", "tiny.txt"]);
  });

  it("are the same when made again, and not compressed themselves", () => {
    const read = () => files().map((name) => [name, readFileSync(path(name), "hex")]);
    const before = read();
    compressFolder(folder);
    expect(read()).toEqual(before);
  });
});
