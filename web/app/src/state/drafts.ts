// What was begun and not sent, by conversation. It outlives a reload, is the same in all tabs, and
// goes when the device signs out.

import { createRoot, createSignal } from "solid-js";
import { keys, onOtherTab, read, write } from "./kept.ts";

/** Each conversation has a key of its own: tabs that write in different ones do not meet. */
const KEY = "draft.";
const [drafts, setDrafts] = createSignal<Readonly<Record<string, string>>>(readAll());

export { drafts };

/** Keeps a draft; an empty one is dropped. */
export function setDraft(conversationId: string, text: string): void {
  const draft = text.trim() === "" ? undefined : text;
  show(conversationId, draft);
  write(KEY + conversationId, draft);
}

export function forgetDrafts(): void {
  for (const id of new Set([...keys(KEY).map((key) => key.slice(KEY.length)), ...Object.keys(drafts())])) setDraft(id, "");
}

createRoot(() =>
  onOtherTab((key, value) => {
    if (key === undefined) {
      // The storage was cleared, not the drafts: what is on the screen is kept anew.
      for (const [id, text] of Object.entries(drafts())) write(KEY + id, text);
    } else if (key.startsWith(KEY)) {
      show(key.slice(KEY.length), value ?? undefined);
    }
  }),
);

function show(conversationId: string, draft: string | undefined): void {
  if (drafts()[conversationId] === draft) return;
  const next = { ...drafts() };
  if (draft === undefined) delete next[conversationId];
  else next[conversationId] = draft;
  setDrafts(next);
}

function readAll(): Record<string, string> {
  return Object.fromEntries(keys(KEY).map((key) => [key.slice(KEY.length), read(key) ?? ""]));
}
