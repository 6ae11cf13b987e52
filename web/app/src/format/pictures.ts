// Messages that are nothing but a few emoji, which are drawn large.

import { graphemes } from "./cut.ts";

/** One emoji (Unicode Technical Standard #51): a flag, a key cap, or a picture with what is joined to it. */
const EMOJI =
  /^(?:\p{RI}{2}|[0-9#*]\ufe0f?\u20e3|(?![\u00a9\u00ae\u2122])\p{Extended_Pictographic}(?:\ufe0f|\p{EMod})?(?:\u200d\p{Extended_Pictographic}(?:\ufe0f|\p{EMod})?)*[\u{e0020}-\u{e007f}]*)$/u;

/** What an emoji has in it. */
const PICTURE = /[\p{Extended_Pictographic}\p{RI}\u20e3]/u;

/** Whether a text is one to six emoji and nothing else but space. */
export function onlyEmoji(text: string): boolean {
  // Most messages have none, and need not be cut into graphemes.
  if (text.length > LONGEST || !PICTURE.test(text)) return false;
  let count = 0;
  for (const { segment } of graphemes(text.replace(/\s+/g, ""))) {
    if (++count > MOST || !EMOJI.test(segment)) return false;
  }
  return count > 0;
}

const MOST = 6;
/** Units of UTF-16 that so many may take. */
const LONGEST = 240;
