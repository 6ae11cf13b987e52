// Which texts show something: one rule for messages, names and titles, the server's own. Both have
// their tables from `proto/text/characters.txt`, and are tested with `proto/text/vectors.json`.

import { BLANK, EDGE } from "./characters.ts";

const isBlank = tableOf(BLANK);
const isEdge = tableOf(EDGE);

/** Whether a person sees anything of a text. The server takes no message, title or name without. */
export function isVisible(text: string): boolean {
  for (const character of text) if (!isBlank(character.codePointAt(0) ?? 0)) return true;
  return false;
}

/** A text without the white space at its ends. */
export function trim(text: string): string {
  let [start, end] = [0, text.length];
  while (start < end && isEdge(text.charCodeAt(start))) start++;
  while (end > start && isEdge(text.charCodeAt(end - 1))) end--;
  return text.slice(start, end);
}

/** Whether a code point is in a table. */
function tableOf(ranges: string): (codePoint: number) => boolean {
  const [firsts, lasts]: [number[], number[]] = [[], []];
  let at = 0;
  for (const range of ranges.split(" ")) {
    const [gap = "", more = "0"] = range.split(",");
    firsts.push((at += Number.parseInt(gap, 36)));
    lasts.push((at += Number.parseInt(more, 36)));
  }
  return (codePoint) => {
    let [low, high] = [0, firsts.length];
    while (low < high) {
      const middle = (low + high) >> 1;
      if ((firsts[middle] ?? 0) <= codePoint) low = middle + 1;
      else high = middle;
    }
    return low > 0 && codePoint <= (lasts[low - 1] ?? 0);
  };
}
