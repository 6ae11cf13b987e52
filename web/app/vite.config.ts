import { fileURLToPath } from "node:url";
import { defineConfig } from "vite";
import solid from "vite-plugin-solid";
import { compress } from "./build/compress.ts";
import { manifestOutside } from "./build/manifest.ts";

const client = fileURLToPath(new URL("../packages/client/src", import.meta.url));

export default defineConfig({
  plugins: [solid(), manifestOutside(), compress()],
  resolve: {
    alias: [
      { find: /^@gogochat\/client$/, replacement: `${client}/index.ts` },
      { find: /^@gogochat\/client\/admin$/, replacement: `${client}/admin.ts` },
      { find: /^@gogochat\/client\/blocks$/, replacement: `${client}/blocks.ts` },
      { find: /^@gogochat\/client\/groups$/, replacement: `${client}/groups.ts` },
      { find: /^@gogochat\/client\/profile$/, replacement: `${client}/profile.ts` },
      { find: /^@gogochat\/client\/second-factor$/, replacement: `${client}/second-factor.ts` },
      { find: /^@gogochat\/client\/auth$/, replacement: `${client}/auth.ts` },
    ],
  },
  build: {
    // What the server embeds. What is about the build lies beside it in `dist`.
    outDir: "dist/page",
    target: ["chrome120", "firefox128", "safari17"],
    // The page's policy allows no inline script: preloads need none in these browsers.
    modulePreload: { polyfill: false },
    manifest: true,
    // Every asset is a file of its own, so that `img-src 'self'` suffices.
    assetsInlineLimit: 0,
  },
  server: {
    proxy: {
      "/v1": "http://localhost:8080",
      "/client-config.json": "http://localhost:8080",
      "/ws": { target: "ws://localhost:8080", ws: true },
    },
  },
});
