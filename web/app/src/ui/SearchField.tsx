// The field over a list in which something is looked for.

import { Icon } from "./Icon.tsx";

/** `name`: what is looked for are names, which phones do not begin with a capital letter. */
export function SearchField(props: { label: string; value: string; onInput: (value: string) => void; name?: boolean; testid?: string }) {
  return (
    <label class="search">
      <Icon name="search" />
      <input
        type="search"
        value={props.value}
        onInput={(event) => props.onInput(event.currentTarget.value)}
        placeholder={props.label}
        aria-label={props.label}
        autocapitalize={props.name ? "none" : undefined}
        data-testid={props.testid}
      />
    </label>
  );
}
