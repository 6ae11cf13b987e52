// Fails when src/gen is not what the contract generates: run `npm run gen` and commit what it changes.

import { execFileSync } from "node:child_process";
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

const fresh = mkdtempSync(join(tmpdir(), "gogochat-gen-"));
try {
  execFileSync("npx", ["buf", "generate", "--output", fresh], { stdio: "inherit" });
  const drift = compare(join(fresh, "src/gen"), "src/gen");
  if (drift.length > 0) {
    console.error(`src/gen has drifted from the contract; run \`npm run gen\`:\n${drift.join("\n")}`);
    process.exitCode = 1;
  }
} finally {
  rmSync(fresh, { recursive: true });
}

function compare(a, b) {
  const names = (root) => readdirSync(root, { recursive: true, withFileTypes: true }).filter((e) => e.isFile()).map((e) => join(e.parentPath ?? e.path, e.name).slice(root.length + 1));
  const all = new Set([...names(a), ...names(b)]);
  const read = (root, name) => {
    try {
      return readFileSync(join(root, name), "utf8");
    } catch {
      return undefined;
    }
  };
  return [...all].filter((name) => read(a, name) !== read(b, name));
}
