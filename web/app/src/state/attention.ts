// Where the person's attention is, and how the page asks for it: title, notifications.

import { createEffect, createSignal, onCleanup } from "solid-js";
import type { AppState } from "./app.ts";
import { notify } from "./prefs.ts";
import { go, route } from "./route.ts";

const looking = () => document.visibilityState === "visible" && document.hasFocus();
const [attentive, setAttentive] = createSignal(looking());

/** Whether the page is visible and has the focus. */
export { attentive };

/** Tells the client whether somebody looks, counts unread messages in the title, and notifies of new ones. */
export function watchAttention(app: AppState): void {
  const look = () => {
    setAttentive(looking());
    app.client.attentive = document.visibilityState === "visible";
  };
  const online = () => app.client.kick();
  const targets: [EventTarget, string, () => void][] = [
    [document, "visibilitychange", look],
    [window, "focus", look],
    [window, "blur", look],
    [window, "pageshow", online],
    [window, "online", online],
  ];
  for (const [target, name, listener] of targets) target.addEventListener(name, listener);
  onCleanup(() => {
    for (const [target, name, listener] of targets) target.removeEventListener(name, listener);
    document.title = "gogochat";
  });
  look();

  createEffect(() => {
    const unread = app.conversations().reduce((sum, c) => sum + c.unread, 0);
    document.title = unread > 0 ? `(${unread > 999 ? "999+" : unread}) gogochat` : "gogochat";
  });

  const end = app.client.onMessage((conversation, event) => {
    // Of all tabs one announces.
    if (!app.client.leading || !notify() || typeof Notification !== "function" || Notification.permission !== "granted") return;
    if (attentive() && route().conversation === conversation.id) return;
    // What was missed while away is counted, not announced.
    if (Date.now() - event.timeMs > STALE_MS || event.body.kind !== "message") return;
    const from = app.nameOf(event.senderId);
    const note = new Notification(conversation.group ? `${from} · ${conversation.title}` : from, {
      body: event.body.text.slice(0, 200),
      tag: conversation.id,
      icon: "/icon.svg",
    });
    note.onclick = () => {
      window.focus();
      go("chats", conversation.id);
      note.close();
    };
  });
  onCleanup(end);
}

const STALE_MS = 60_000;
