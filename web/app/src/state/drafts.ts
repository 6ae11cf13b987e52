// What was begun and not sent, by conversation; it outlives a reload and goes when the device signs out.

import { createSignal } from "solid-js";

const KEY = "gogochat.drafts";
const [drafts, setDrafts] = createSignal<Readonly<Record<string, string>>>(read());

export { drafts };

/** Keeps a draft; an empty one is dropped. */
export function setDraft(conversationId: string, text: string): void {
  const next = { ...drafts() };
  if (text.trim() === "") delete next[conversationId];
  else next[conversationId] = text;
  setDrafts(next);
  localStorage.setItem(KEY, JSON.stringify(next));
}

export function forgetDrafts(): void {
  setDrafts({});
  localStorage.removeItem(KEY);
}

function read(): Record<string, string> {
  try {
    return JSON.parse(localStorage.getItem(KEY) ?? "{}");
  } catch {
    return {};
  }
}
