// What was begun and not sent, by conversation. It outlives a reload, is the same in all tabs, and
// goes when the device signs out.

import { createRoot, createSignal } from "solid-js";
import { keys, onOtherTab, read, write } from "./kept.ts";

/** A draft as it is kept. */
interface Draft {
  /** How often it was changed: what another tab says of an older one is no news. */
  readonly n: number;
  /** Empty: it was sent or thrown away. Other tabs may not know that yet. */
  readonly text: string;
}

/** Each conversation has a key of its own: tabs that write in different ones do not meet. */
const KEY = "draft.";
const known = new Map<string, Draft>();
const [drafts, setDrafts] = createSignal<Readonly<Record<string, string>>>({});
for (const key of keys(KEY)) take(key.slice(KEY.length), parse(read(key)));

export { drafts };

/** Keeps a draft; an empty one is dropped. */
export function setDraft(conversationId: string, text: string): void {
  const before = known.get(conversationId);
  const draft = { n: (before?.n ?? 0) + 1, text: text.trim() === "" ? "" : text };
  if (draft.text === (before?.text ?? "")) return;
  take(conversationId, draft);
  keep(conversationId, draft);
}

export function forgetDrafts(): void {
  for (const id of new Set([...keys(KEY).map((key) => key.slice(KEY.length)), ...known.keys()])) write(KEY + id, undefined);
  known.clear();
  setDrafts({});
}

createRoot(() =>
  onOtherTab((key, value) => {
    if (key === undefined) {
      // The storage was cleared, not the drafts: what is on the screen is kept anew.
      for (const [id, draft] of known) keep(id, draft);
      return;
    }
    if (!key.startsWith(KEY)) return;
    const id = key.slice(KEY.length);
    const news = parse(value);
    const mine = known.get(id);
    if (!news) return;
    if (!mine || news.n >= mine.n) take(id, news);
    else keep(id, mine);
  }),
);

function take(id: string, draft: Draft | undefined): void {
  if (!draft) return;
  known.set(id, draft);
  if ((drafts()[id] ?? "") === draft.text) return;
  const next = { ...drafts() };
  if (draft.text === "") delete next[id];
  else next[id] = draft.text;
  setDrafts(next);
}

function keep(id: string, { n, text }: Draft): void {
  write(KEY + id, `${n} ${text}`);
}

function parse(kept: string | null): Draft | undefined {
  const [, n, text] = /^(\d+) ([^]*)$/.exec(kept ?? "") ?? [];
  return n === undefined || text === undefined ? undefined : { n: Number(n), text };
}
