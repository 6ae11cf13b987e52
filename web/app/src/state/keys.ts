// The page's own keys. None of them is taken while an input method composes.

import { onCleanup } from "solid-js";
import type { AppState } from "./app.ts";
import { go, route } from "./route.ts";

/** What the keys do beyond moving around. */
export interface KeyActions {
  jump(): void;
  help(): void;
}

/** Listens as long as the calling view lives. */
export function watchKeys(app: AppState, actions: KeyActions): void {
  const onKey = (event: KeyboardEvent) => {
    if (event.isComposing || event.keyCode === 229 || event.defaultPrevented) return;
    if (document.querySelector("dialog[open]")) return;
    const command = event.ctrlKey || event.metaKey;
    if (command && !event.shiftKey && !event.altKey && event.key.toLowerCase() === "k") {
      event.preventDefault();
      actions.jump();
    } else if (event.altKey && !command && (event.key === "ArrowUp" || event.key === "ArrowDown")) {
      event.preventDefault();
      walk(app, event.key === "ArrowDown" ? 1 : -1);
    } else if (event.key === "?" && !command && !writing(event.target)) {
      event.preventDefault();
      actions.help();
    } else if (event.key === "Escape" && route().conversation) {
      event.preventDefault();
      go(route().section);
    }
  };
  addEventListener("keydown", onKey);
  onCleanup(() => removeEventListener("keydown", onKey));
}

/** To the next conversation with something unread; when there is none, to the next at all. */
function walk(app: AppState, step: 1 | -1): void {
  const all = app.conversations();
  const at = all.findIndex((c) => c.id === route().conversation);
  const inOrder = all.map((_, i) => all[(at + step * (i + 1) + all.length * 2) % all.length]);
  const next = inOrder.find((c) => c && c.unread > 0) ?? (at < 0 ? all[0] : inOrder[0]);
  if (next) go("chats", next.id);
}

function writing(target: EventTarget | null): boolean {
  return target instanceof HTMLElement && target.matches("input, textarea, [contenteditable]");
}
