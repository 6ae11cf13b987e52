// A person's or group's disc: initials on a hue that follows from the id.

import { createEffect } from "solid-js";

/** The initials of a name: of two words, or the first letter. */
export function initials(name: string): string {
  const words = name.trim().split(/\s+/);
  const first = [...(words[0] ?? "")][0] ?? "?";
  const second = words.length > 1 ? ([...(words.at(-1) ?? "")][0] ?? "") : "";
  return (first + second).toUpperCase();
}

/** The hue of an id, degrees. */
export function hue(id: string): number {
  let hash = 7;
  for (let i = 0; i < id.length; i++) hash = (hash * 31 + id.charCodeAt(i)) >>> 0;
  return hash % 360;
}

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
