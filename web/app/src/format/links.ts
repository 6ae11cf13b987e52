// Recognising links in a text, as people write them. The parts become text nodes and anchors;
// nothing is ever parsed as HTML.

/** A piece of a message. */
export interface Part {
  readonly text: string;
  /** Where it leads: http, https or mailto. */
  readonly href?: string;
}

/**
 * Where a link ends: white space, quotes, brackets of markup, and the punctuation of Chinese and
 * Japanese, which stands in no address.
 */
const STOP = "\\s<>\"'`{}|\\\\^“”‘’«»…—\\u3000-\\u303f\\uff00-\\uff0f\\uff1a-\\uff20\\uff3b-\\uff40\\uff5b-\\uff65";
const MAIL = "[a-z0-9._%+-]{1,64}@(?:[a-z0-9-]{1,63}\\.){1,8}[a-z]{2,24}";
const LINK = new RegExp(`https?://[^${STOP}]+|(?<![a-z0-9@._/-])(?:www\\.[^${STOP}]+|${MAIL}(?![a-z0-9@-]))`, "giu");

/** Cuts a text into links and what stands between them. */
export function parts(text: string): Part[] {
  const found: Part[] = [];
  let at = 0;
  for (const match of text.matchAll(LINK)) {
    const link = trim(match[0]);
    const href = hrefOf(link);
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
    if (/[.,;:!?]/.test(last) || (open && count(head, open) < count(head, last))) end--;
    else return head;
  }
}

function count(text: string, letter: string): number {
  return text.split(letter).length - 1;
}

function hrefOf(link: string): string | undefined {
  // Characters that turn the direction of writing can make a link look like another.
  if (/[\u202a-\u202e\u2066-\u2069]/.test(link)) return undefined;
  const whole = /^https?:/i.test(link) ? link : /^www\./i.test(link) ? `https://${link}` : `mailto:${link}`;
  try {
    const url = new URL(whole);
    // "www." alone leads nowhere.
    return url.protocol === "mailto:" || url.hostname.includes(".", 4) || /^https?:/i.test(link) ? url.href : undefined;
  } catch {
    return undefined;
  }
}
