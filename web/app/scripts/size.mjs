// Checks what a visitor downloads, gzip: of the log-in page, with the conversations, and of the SDK alone.
// HTML, JavaScript, CSS, icon and the largest language are counted, each as the build has compressed it.

import { existsSync, readFileSync, statSync } from "node:fs";
import { brotliCompressSync, gzipSync } from "node:zlib";
import { fileURLToPath } from "node:url";
import { build } from "vite";

/** KiB of gzip. */
const LIMITS = { "log-in page": 30, conversations: 110, SDK: 40 };

const page = new URL("../dist/page/", import.meta.url);
const manifest = JSON.parse(readFileSync(new URL("../manifest.json", page), "utf8"));

/** The files of a chunk and of everything that it imports at once. Dynamic imports are not followed. */
function files(key, seen = new Set()) {
  const { file, css = [], assets = [], imports = [] } = manifest[key];
  if (seen.has(file)) return seen;
  for (const name of [file, ...css, ...assets]) seen.add(name);
  for (const next of imports) files(next, seen);
  return seen;
}

/** What index.html names itself: scripts, styles, icon. */
const linked = [...readFileSync(new URL("index.html", page), "utf8").matchAll(/(?:src|href)="\/([^"]+)"/g)].map(([, name]) => name);

/** Bytes on the way, for a browser that takes this compression. */
function size(names, suffix) {
  const sizeOf = (name) => statSync([`${name}${suffix}`, name].map((it) => new URL(it, page)).find(existsSync)).size;
  return [...names].reduce((sum, name) => sum + sizeOf(name), 0);
}

const logIn = new Set(["index.html", ...linked, ...files("index.html")]);
/** The largest of the languages' words, beside what is there already. */
function largest(there, kind) {
  const languages = Object.keys(manifest).filter((key) => kind.test(key)).map((key) => files(key));
  const added = (language) => size(new Set([...there, ...language]), ".gz");
  return languages.reduce((a, b) => (added(b) > added(a) ? b : a));
}
const visit = new Set([...logIn, ...largest(logIn, /^src\/i18n\/[a-z]+\.ts$/)]);
const shell = new Set([...visit, ...files("src/views/Shell.tsx")]);
const chat = new Set([...shell, ...largest(shell, /^src\/i18n\/[a-z]+-chat\.ts$/)]);

const sdk = await build({
  configFile: false,
  logLevel: "warn",
  root: fileURLToPath(new URL("../../packages/client/", import.meta.url)),
  build: { write: false, minify: true, rollupOptions: { input: "src/index.ts", preserveEntrySignatures: "strict", output: { format: "es" } } },
});
const sdkSize = (compressed) => sdk.output.reduce((sum, chunk) => sum + compressed(chunk.code ?? "").length, 0);

const sizes = {
  "log-in page": { gzip: size(visit, ".gz"), br: size(visit, ".br") },
  conversations: { gzip: size(chat, ".gz"), br: size(chat, ".br") },
  SDK: { gzip: sdkSize((code) => gzipSync(code, { level: 9 })), br: sdkSize((code) => brotliCompressSync(code)) },
};
const kib = (bytes) => (bytes / 1024).toFixed(1);
for (const [what, { gzip, br }] of Object.entries(sizes)) {
  const over = gzip / 1024 > LIMITS[what];
  console.log(`${over ? "over " : "     "}${what}: ${kib(gzip)} of ${LIMITS[what]} KiB gzip, ${kib(br)} br`);
  if (over) process.exitCode = 1;
}
