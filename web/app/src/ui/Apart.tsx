// A text of somebody's, whose direction is its own: right to left in a line from left to right, or the other way round.

import { Show } from "solid-js";

/** A new element for each text: browsers keep the direction that they have found once, however the text in it changes. */
export function Apart(props: { text: string }) {
  return (
    <Show when={props.text} keyed>
      {(text) => <bdi>{text}</bdi>}
    </Show>
  );
}
