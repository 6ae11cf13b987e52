// What is not sent and not kept is lost with the page: the browser asks before it closes it.

import { onCleanup } from "solid-js";
import type { AppState } from "./app.ts";

/** Asks while something would be lost. */
export function watchUnsent(app: AppState): void {
  const ask = (event: BeforeUnloadEvent) => {
    if (app.client.waiting.get() > 0 && !app.client.kept.get()) event.preventDefault();
  };
  addEventListener("beforeunload", ask);
  onCleanup(() => removeEventListener("beforeunload", ask));
}
