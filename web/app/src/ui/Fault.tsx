// What an action met, in words.

import { Show } from "solid-js";

export function Fault(props: { text: string | undefined }) {
  return (
    <Show when={props.text}>
      <p class="error" role="alert">
        {props.text}
      </p>
    </Show>
  );
}
