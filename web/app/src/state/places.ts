// Where in each conversation a person was when they left it, as long as the page lives.

/** A place in a timeline. */
export interface Place {
  /** The key of the first row that was seen. */
  readonly key: string;
  /** How much of that row was above the upper edge, in pixels. */
  readonly above: number;
}

const places = new Map<string, Place>();

/** The place that was left; undefined: the end, or none yet. */
export function placeIn(conversationId: string): Place | undefined {
  return places.get(conversationId);
}

/** Keeps a place; undefined: the end. */
export function leavePlace(conversationId: string, place: Place | undefined): void {
  if (place) places.set(conversationId, place);
  else places.delete(conversationId);
}
