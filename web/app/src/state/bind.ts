// From the SDK's observables to Solid's signals.

import type { Observable } from "@gogochat/client";
import { type Accessor, createSignal, onCleanup } from "solid-js";

/** The value of an observable as a signal, as long as the calling view lives. */
export function use<T>(observable: Observable<T>): Accessor<T> {
  const [value, setValue] = createSignal(observable.get(), { equals: false });
  onCleanup(observable.subscribe((next) => setValue(() => next)));
  return value;
}
