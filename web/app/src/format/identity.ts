// What stands for somebody without a picture.

import { firstGrapheme } from "./cut.ts";

const PICTURE = /\p{Extended_Pictographic}|\p{Regional_Indicator}/u;

/** The initials of a name: of two words, or the first letter. */
export function initials(name: string): string {
  const words = name.trim().split(/\s+/);
  const first = firstGrapheme(words[0] ?? "") || "?";
  const second = words.length > 1 ? firstGrapheme(words.at(-1) ?? "") : "";
  // Two pictures, or a letter and a picture, do not fit side by side.
  return (PICTURE.test(first + second) ? first : first + second).toUpperCase();
}

/** The hue of an id, degrees. */
export function hue(id: string): number {
  let hash = 7;
  for (let i = 0; i < id.length; i++) hash = (hash * 31 + id.charCodeAt(i)) >>> 0;
  return hash % 360;
}
