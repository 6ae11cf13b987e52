// A person's or group's disc: initials on a hue that follows from the id.

import { createEffect } from "solid-js";
import { hue, initials } from "../format/identity.ts";

export function Avatar(props: { id: string; name: string; online?: boolean | undefined; small?: boolean; group?: boolean }) {
  let disc!: HTMLDivElement;
  createEffect(() => disc.style.setProperty("--h", String(hue(props.id))));
  return (
    <div
      ref={disc}
      class="av"
      classList={{ s: props.small ?? false, on: props.online ?? false, group: props.group ?? false }}
      aria-hidden="true"
    >
      {initials(props.name)}
    </div>
  );
}
