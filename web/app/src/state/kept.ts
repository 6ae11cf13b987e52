// What this browser keeps for the page: small texts that all tabs share. Where the browser refuses,
// they are in memory, and the page works all the same.

import { keyValues } from "@gogochat/client/auth";
import { onCleanup } from "solid-js";

const PREFIX = "gogochat.";
const values = keyValues(() => globalThis.localStorage);

/** A text that was kept; null: there is none. */
export function read(key: string): string | null {
  return values.getItem(PREFIX + key);
}

/** Keeps a text; undefined forgets it. */
export function write(key: string, value: string | undefined): void {
  if (value === undefined) values.removeItem(PREFIX + key);
  else values.setItem(PREFIX + key, value);
}

/** The keys that begin with `start`. */
export function keys(start: string): string[] {
  try {
    return Object.keys(localStorage).flatMap((key) => (key.startsWith(PREFIX + start) ? [key.slice(PREFIX.length)] : []));
  } catch {
    return [];
  }
}

/**
 * Calls back with what a text is now that another tab has changed it; `undefined` stands for all of
 * them. News of a change come late: what this tab has written since then is newer.
 */
export function onOtherTab(callback: (key: string | undefined, value: string | null) => void): void {
  const listener = ({ key, storageArea }: StorageEvent) => {
    if (storageArea !== null && key === null) callback(undefined, null);
    else if (key?.startsWith(PREFIX)) callback(key.slice(PREFIX.length), read(key.slice(PREFIX.length)));
  };
  addEventListener("storage", listener);
  onCleanup(() => removeEventListener("storage", listener));
}
