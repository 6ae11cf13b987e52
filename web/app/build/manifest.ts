// Vite's manifest says which file imports which. The size check reads it; visitors have no use for it.

import { renameSync, rmSync } from "node:fs";
import { join } from "node:path";
import type { Plugin } from "vite";

/** Moves the manifest out of the folder that the server embeds, to `manifest.json` beside that folder. */
export function manifestOutside(): Plugin {
  return {
    name: "manifest-outside",
    apply: "build",
    writeBundle({ dir }) {
      if (!dir) return;
      renameSync(join(dir, ".vite/manifest.json"), join(dir, "../manifest.json"));
      rmSync(join(dir, ".vite"), { recursive: true });
    },
  };
}
