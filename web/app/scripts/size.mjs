// Checks what a visitor downloads, gzip: JavaScript of the log-in page, of the conversations, and of the SDK alone.

import { readFileSync } from "node:fs";
import { gzipSync } from "node:zlib";
import { fileURLToPath } from "node:url";
import { build } from "vite";

const LIMITS = { "log-in page": 30, conversations: 90, SDK: 35 };

const dist = new URL("../dist/", import.meta.url);
const manifest = JSON.parse(readFileSync(new URL(".vite/manifest.json", dist), "utf8"));

/** A chunk with everything it imports at once; dynamic imports are not followed. */
function closure(key, seen = new Set()) {
  if (seen.has(key)) return seen;
  seen.add(key);
  for (const next of manifest[key].imports ?? []) closure(next, seen);
  return seen;
}

const kib = (keys) => [...keys].reduce((sum, key) => sum + gzipSync(readFileSync(new URL(manifest[key].file, dist)), { level: 9 }).length, 0) / 1024;
const logIn = closure("index.html");
const chat = new Set([...logIn, ...closure("src/views/Shell.tsx")]);

const sdk = await build({
  configFile: false,
  logLevel: "warn",
  root: fileURLToPath(new URL("../../packages/client/", import.meta.url)),
  build: { write: false, minify: true, rollupOptions: { input: "src/index.ts", preserveEntrySignatures: "strict", output: { format: "es" } } },
});
const sdkKib = sdk.output.reduce((sum, chunk) => sum + gzipSync(chunk.code ?? "", { level: 9 }).length, 0) / 1024;

const sizes = { "log-in page": kib(logIn), conversations: kib(chat), SDK: sdkKib };
for (const [what, size] of Object.entries(sizes)) {
  const over = size > LIMITS[what];
  console.log(`${over ? "over " : "     "}${what}: ${size.toFixed(1)} of ${LIMITS[what]} KiB`);
  if (over) process.exitCode = 1;
}
