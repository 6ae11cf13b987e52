// The system's notifications: by the page itself, or by its worker where the browser lets no page show any.

import { onCleanup } from "solid-js";
import { cut } from "../format/cut.ts";
import { go } from "./route.ts";

/** What to say, and where it leads. */
export interface Notice {
  readonly title: string;
  readonly body: string;
  /** A later one of the same tag takes its place. */
  readonly tag: string;
  readonly conversation?: string;
}

/** Shows a notification, if the person and the browser allow any. */
export function show({ title, body, tag, conversation }: Notice): void {
  if (typeof Notification !== "function" || Notification.permission !== "granted") return;
  const options = { body: cut(body, BODY), tag, icon: "/icon.svg" };
  const hash = conversation ? `#/chats/${conversation}` : "#/contacts";
  let note: Notification;
  try {
    note = new Notification(title, options);
  } catch {
    void byWorker(title, { ...options, data: { hash } });
    return;
  }
  note.onclick = () => {
    window.focus();
    lead(hash);
    note.close();
  };
}

/** Follows clicks on what the worker has shown, as long as the calling view lives. */
export function watchNotices(): void {
  const worker: ServiceWorkerContainer | undefined = navigator.serviceWorker;
  const follow = ({ data }: MessageEvent<{ hash?: string }>) => data.hash && lead(data.hash);
  worker?.addEventListener("message", follow);
  onCleanup(() => worker?.removeEventListener("message", follow));
}

async function byWorker(title: string, options: NotificationOptions): Promise<void> {
  try {
    await navigator.serviceWorker.register("/notices.js");
    await (await navigator.serviceWorker.ready).showNotification(title, options);
  } catch (error) {
    // Nothing else can be done: the count in the title stays.
    console.warn(error);
  }
}

function lead(hash: string): void {
  const [, section, conversation] = hash.split("/");
  go(section === "contacts" ? "contacts" : "chats", conversation);
}

/** Graphemes of a body. */
const BODY = 200;
