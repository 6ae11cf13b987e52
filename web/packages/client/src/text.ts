// Which texts show something: one rule for messages, names and titles, the server's own (proto/src/text.rs).
// `proto/text/vectors.json` has what both are tested with.

/** White_Space, and what JavaScript trims beside it. */
const EDGE = /[\p{White_Space}\ufeff]/u;
const BLANK = /^[\p{White_Space}\p{Cc}\p{M}\p{Default_Ignorable_Code_Point}\u2800]*$/u;

/** Whether a person sees anything of a text. The server takes no message, title or name without. */
export function isVisible(text: string): boolean {
  return !BLANK.test(text);
}

/** A text without the white space at its ends. */
export function trim(text: string): string {
  let [start, end] = [0, text.length];
  while (start < end && EDGE.test(text[start] ?? "")) start++;
  while (end > start && EDGE.test(text[end - 1] ?? "")) end--;
  return text.slice(start, end);
}
