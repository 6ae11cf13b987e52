// A list of any length, of which only the rows on the screen are there. A row that is moved keeps the focus.

import { createEffect, createSignal, type JSX, on, onCleanup, onMount, Show } from "solid-js";
import { Virtualizer, type VirtualizerHandle } from "virtua/solid";

/**
 * `each` names the rows; `size` is what one is expected to measure, in pixels. The nearest ancestor
 * that scrolls is one of SCROLLERS. In each row the element `[data-row]` takes the focus, or the first
 * button in it.
 */
export function VirtualRows(props: { each: readonly string[]; size: number; children: (id: string) => JSX.Element }) {
  let box!: HTMLDivElement;
  let list: VirtualizerHandle | undefined;
  const [scroller, setScroller] = createSignal<HTMLElement>();
  const [start, setStart] = createSignal(0);
  /** The row that has the focus. */
  const [focused, setFocused] = createSignal<string>();
  const measure = () => {
    const frame = scroller();
    if (frame) setStart(box.getBoundingClientRect().top - frame.getBoundingClientRect().top + frame.scrollTop);
  };
  onMount(() => {
    const frame = box.closest<HTMLElement>(SCROLLERS) ?? undefined;
    setScroller(frame);
    measure();
    // What stands above may grow.
    const observer = new ResizeObserver(measure);
    for (let part: Element | null = box.parentElement; part && part !== frame; part = part.parentElement) observer.observe(part);
    if (frame) observer.observe(frame);
    onCleanup(() => observer.disconnect());
  });
  const focus = (id: string | undefined) => {
    const row = id === undefined ? null : box.querySelector<HTMLElement>(`[data-row="${CSS.escape(id)}"]`);
    (row?.matches(FOCUSABLE) ? row : row?.querySelector<HTMLElement>(FOCUSABLE))?.focus();
  };
  createEffect(
    on(
      () => props.each,
      () => {
        measure();
        // A browser takes the focus from what is moved about in the page.
        const id = focused();
        queueMicrotask(() => document.activeElement === document.body && focus(id));
      },
      { defer: true },
    ),
  );
  const onKeyDown = (event: KeyboardEvent) => {
    if (event.altKey || (event.key !== "ArrowDown" && event.key !== "ArrowUp")) return;
    const at = props.each.indexOf(focused() ?? "");
    const next = props.each[at + (event.key === "ArrowDown" ? 1 : -1)];
    if (at < 0 || next === undefined) return;
    event.preventDefault();
    list?.scrollToIndex(props.each.indexOf(next), { align: "nearest" });
    setFocused(next);
    requestAnimationFrame(() => focus(next));
  };
  const kept = () => {
    const at = props.each.indexOf(focused() ?? "");
    return at < 0 ? [] : [at];
  };
  return (
    <div
      ref={box}
      onKeyDown={onKeyDown}
      onFocusIn={(event) => setFocused(event.target.closest<HTMLElement>("[data-row]")?.dataset["row"])}
      onFocusOut={(event) => event.relatedTarget !== null && setFocused(undefined)}
    >
      <Show when={scroller()}>
        {(frame) => (
          <Virtualizer
            ref={(handle) => {
              list = handle;
            }}
            data={props.each as string[]}
            itemSize={props.size}
            scrollRef={frame()}
            startMargin={start()}
            keepMounted={kept()}
          >
            {(id) => props.children(id)}
          </Virtualizer>
        )}
      </Show>
    </div>
  );
}

const SCROLLERS = ".rows, .panel-body, .pick";
const FOCUSABLE = "button, input";
