// Recognising links in a text. The parts become text nodes and anchors; nothing is ever parsed as HTML.

/** A piece of a message. */
export interface Part {
  readonly text: string;
  /** Where it leads: http or https. */
  readonly href?: string;
}

const LINK = /https?:\/\/[^\s<>"'`{}|\\^]+/gi;

/** Cuts a text into links and what stands between them. */
export function parts(text: string): Part[] {
  const found: Part[] = [];
  let at = 0;
  for (const match of text.matchAll(LINK)) {
    const link = trim(match[0]);
    const href = safe(link);
    if (!href) continue;
    if (match.index > at) found.push({ text: text.slice(at, match.index) });
    found.push({ text: link, href });
    at = match.index + link.length;
  }
  if (at < text.length) found.push({ text: text.slice(at) });
  return found;
}

/** Punctuation at the end belongs to the sentence, and so does a bracket that was opened before the link. */
function trim(link: string): string {
  let end = link.length;
  for (;;) {
    const last = link[end - 1] ?? "";
    const open = last === ")" ? "(" : last === "]" ? "[" : "";
    const head = link.slice(0, end);
    if (/[.,;:!?，。；：！？、）】》」]/.test(last) || (open && count(head, open) < count(head, last))) end--;
    else return head;
  }
}

function count(text: string, letter: string): number {
  return text.split(letter).length - 1;
}

function safe(link: string): string | undefined {
  try {
    const url = new URL(link);
    // Characters that turn the direction of writing can make a link look like another.
    return /^https?:$/.test(url.protocol) && !/[\u202a-\u202e\u2066-\u2069]/.test(link) ? url.href : undefined;
  } catch {
    return undefined;
  }
}
