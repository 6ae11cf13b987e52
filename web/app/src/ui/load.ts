// Something that is fetched for a view. While it loads, and when it fails, all else stays as it is:
// no view is ever taken away for it.

import { type Accessor, createEffect, createSignal, on, onCleanup } from "solid-js";
import { say, codeOf } from "../format/errors.ts";

/** How loading stands. */
export interface Load<T> {
  /** The last that came, also while the next is on its way. */
  value(): T | undefined;
  loading(): boolean;
  /** Why the last try failed, in the page's words. */
  error(): string | undefined;
  again(): void;
}

/**
 * Fetches for each value of `source` but undefined, after `restMs` in which it did not change. A
 * later one overtakes an earlier.
 */
export function useLoad<S, T>(source: Accessor<S | undefined>, fetch: (source: S) => Promise<T>, restMs = 0): Load<T> {
  const [value, setValue] = createSignal<T>();
  const [loading, setLoading] = createSignal(false);
  const [failure, setFailure] = createSignal<{ readonly error: unknown }>();
  const [turn, setTurn] = createSignal(0);
  createEffect(
    on([source, turn], ([wanted]) => {
      setFailure(undefined);
      setLoading(wanted !== undefined);
      if (wanted === undefined) {
        setValue(undefined);
        return;
      }
      let over = false;
      const work = async () => {
        try {
          const found = await fetch(wanted);
          if (!over) setValue(() => found);
        } catch (error) {
          if (!over) setFailure({ error });
        }
        if (!over) setLoading(false);
      };
      const timer = setTimeout(() => void work(), restMs);
      onCleanup(() => {
        over = true;
        clearTimeout(timer);
      });
    }),
  );
  return {
    value,
    loading,
    error: () => {
      const met = failure();
      return met && say(codeOf(met.error));
    },
    again: () => setTurn(turn() + 1),
  };
}
