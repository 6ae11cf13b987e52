import { fileURLToPath } from "node:url";
import { defineConfig } from "vitest/config";

const client = fileURLToPath(new URL("../packages/client/src", import.meta.url));

export default defineConfig({
  resolve: {
    alias: [
      { find: /^@gogochat\/client$/, replacement: `${client}/index.ts` },
      { find: /^@gogochat\/client\/auth$/, replacement: `${client}/auth.ts` },
    ],
  },
  test: { environment: "node" },
});
