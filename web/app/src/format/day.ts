// The day that it is, here: one signal, which follows midnight and a change of the zone.

import { createSignal } from "solid-js";

/** A day in a zone. */
export interface Day {
  /** Its number, of consecutive days. */
  readonly number: number;
  /** The zone in which times are drawn; another one draws them anew. */
  readonly zone: string;
}

/** Milliseconds of a day. */
export const DAY_MS = 86_400_000;
/** Nothing tells a page of another zone: it looks. */
const LOOK_MS = 60_000;

const [today, setToday] = createSignal<Day>(now(), { equals: (a, b) => a.number === b.number && a.zone === b.zone });

export { today };

/** The number of the local day of a time. */
export function dayNumber(ms: number): number {
  const date = new Date(ms);
  return Date.UTC(date.getFullYear(), date.getMonth(), date.getDate()) / DAY_MS;
}

/**
 * Follows the clock as long as the page lives. A machine that slept, or whose zone was changed, is
 * asked when somebody comes back to it.
 */
export function watchDay(): void {
  const look = () => setToday(now());
  const next = () => {
    look();
    const midnight = new Date().setHours(24, 0, 0, 0);
    setTimeout(next, Math.min(midnight - Date.now() + 50, LOOK_MS));
  };
  next();
  for (const event of ["focus", "pageshow"]) addEventListener(event, look);
  document.addEventListener("visibilitychange", look);
}

function now(): Day {
  const zone = `${Intl.DateTimeFormat().resolvedOptions().timeZone} ${new Date().getTimezoneOffset()}`;
  return { number: dayNumber(Date.now()), zone };
}
