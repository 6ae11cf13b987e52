// Whether the server has a newer page than this one. The page names its script by a hash, so
// another name is another page.

import { createSignal, onCleanup } from "solid-js";
import type { AppState } from "./app.ts";

const [outdated, setOutdated] = createSignal(false);

/** There is a newer page. */
export { outdated };

/** Looks after each new connection, and when a person comes back, now and then. */
export function watchVersion(app: AppState): void {
  let last = performance.now();
  const look = () => {
    if (outdated() || performance.now() - last < REST_MS) return;
    last = performance.now();
    void isOutdated().then((now) => now && setOutdated(true));
  };
  let online = true;
  const end = app.client.connection.subscribe(({ status }) => {
    if (status === "online" && !online) {
      // A server that comes back may be another one.
      last = Number.NEGATIVE_INFINITY;
      look();
    }
    online = status === "online";
  });
  document.addEventListener("visibilitychange", look);
  onCleanup(() => {
    end();
    document.removeEventListener("visibilitychange", look);
  });
}

async function isOutdated(): Promise<boolean> {
  const mine = document.querySelector<HTMLScriptElement>("script[type=module][src]")?.getAttribute("src");
  if (!mine) return false;
  try {
    const response = await fetch("/", { cache: "no-cache" });
    const page = response.ok ? await response.text() : mine;
    return page.includes("<script") && !page.includes(mine);
  } catch {
    return false;
  }
}

const REST_MS = 600_000;
