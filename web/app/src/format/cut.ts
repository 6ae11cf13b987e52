// Cutting a text where a person sees an end of a character: a family of emoji, a letter with its
// accents and a flag are one each.

/**
 * The first `most` graphemes of a text (Unicode Standard Annex #29), with an ellipsis where
 * something is left out.
 */
export function cut(text: string, most: number): string {
  // No grapheme is shorter than one unit.
  if (text.length <= most) return text;
  const units = text.slice(0, most * LONGEST);
  let count = 0;
  for (const { index } of graphemes(units)) if (count++ === most) return `${text.slice(0, index)}…`;
  return units.length < text.length ? `${units}…` : text;
}

/** The first grapheme of a text; empty when there is none. */
export function firstGrapheme(text: string): string {
  for (const { segment } of graphemes(text.slice(0, LONGEST))) return segment;
  return "";
}

/** The graphemes of a text. */
export function graphemes(text: string): Iterable<{ readonly segment: string; readonly index: number }> {
  if (typeof Intl.Segmenter === "function") return (segmenter ??= new Intl.Segmenter(undefined, { granularity: "grapheme" })).segment(text);
  // An old browser: at least no half of a surrogate pair.
  let at = 0;
  return [...text].map((segment) => ({ segment, index: (at += segment.length) - segment.length }));
}

let segmenter: Intl.Segmenter | undefined;
/** Units of UTF-16 in a grapheme, more than any has in earnest. */
const LONGEST = 40;
