// Compresses the page when it is built: FILE.br and FILE.gz beside FILE, which the server sends as they are.

import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { brotliCompressSync, constants, gzipSync } from "node:zlib";
import type { Plugin } from "vite";

/** Compresses what `vite build` has written. */
export function compress(): Plugin {
  return {
    name: "compress",
    apply: "build",
    writeBundle({ dir }) {
      if (dir) compressFolder(dir);
    },
  };
}

/** Compresses every file of a folder and of the folders in it. Hidden ones are left out. */
export function compressFolder(folder: string): void {
  for (const entry of readdirSync(folder, { withFileTypes: true })) {
    const path = join(folder, entry.name);
    if (entry.name.startsWith(".") || /\.(br|gz)$/.test(entry.name)) continue;
    if (entry.isDirectory()) compressFolder(path);
    else compressFile(path);
  }
}

function compressFile(path: string): void {
  const bytes = readFileSync(path);
  const variants = { br: brotli(bytes), gz: gzipSync(bytes, { level: 9 }) };
  for (const [suffix, variant] of Object.entries(variants)) {
    if (variant.length <= bytes.length * WORTH) writeFileSync(`${path}.${suffix}`, variant);
  }
}

function brotli(bytes: Buffer): Buffer {
  return brotliCompressSync(bytes, {
    params: {
      [constants.BROTLI_PARAM_MODE]: constants.BROTLI_MODE_TEXT,
      [constants.BROTLI_PARAM_QUALITY]: constants.BROTLI_MAX_QUALITY,
      [constants.BROTLI_PARAM_SIZE_HINT]: bytes.length,
    },
  });
}

/** A variant is kept if it saves a tenth. Images and fonts are compressed already, and save less. */
const WORTH = 0.9;
