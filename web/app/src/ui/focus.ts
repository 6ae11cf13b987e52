// Where the focus goes when a person has asked for something.

/** Moves the focus to the search field of the pane that was just opened. */
export function focusSearch(): void {
  queueMicrotask(() => document.querySelector<HTMLElement>('[data-testid="pane"] input[type="search"]')?.focus());
}
