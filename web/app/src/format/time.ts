// Times as people say them, in the page's language and the browser's zone. What draws them is drawn
// anew when the day, the zone or the language changes.

import { language, t } from "../i18n/index.ts";
import { DAY_MS, dayNumber, today } from "./day.ts";

const formats = new Map<string, Intl.DateTimeFormat>();

/** Hours and minutes. */
export function clockTime(ms: number): string {
  return format({ hour: "2-digit", minute: "2-digit", hour12: false }).format(ms);
}

/** The day of a divider: today, yesterday, a weekday of the last week, or a date. */
export function dayName(ms: number): string {
  const days = daysAgo(ms);
  if (days === 0) return t().today;
  if (days === 1) return t().yesterday;
  if (days > 0 && days < 7) return format({ weekday: "long" }).format(ms);
  const sameYear = new Date(ms).getFullYear() === new Date(today().number * DAY_MS).getUTCFullYear();
  return format(sameYear ? { month: "long", day: "numeric" } : { dateStyle: "long" }).format(ms);
}

/** The time in a list: of today the clock, else the day, short. */
export function listTime(ms: number): string {
  if (ms === 0) return "";
  const days = daysAgo(ms);
  if (days === 0) return clockTime(ms);
  if (days === 1) return t().yesterday;
  if (days > 0 && days < 7) return format({ weekday: "short" }).format(ms);
  return format({ year: "2-digit", month: "numeric", day: "numeric" }).format(ms);
}

/** How long, in the largest unit that it is whole in. */
export function duration(ms: number): string {
  const seconds = Math.max(1, Math.round(ms / 1_000));
  if (seconds % 3_600 === 0) return t().hours(seconds / 3_600);
  return seconds % 60 === 0 ? t().minutes(seconds / 60) : t().seconds(seconds);
}

/** Day and time in one. */
export function moment(ms: number): string {
  return daysAgo(ms) === 0 ? clockTime(ms) : `${dayName(ms)} ${clockTime(ms)}`;
}

function daysAgo(ms: number): number {
  return today().number - dayNumber(ms);
}

function format(options: Intl.DateTimeFormatOptions): Intl.DateTimeFormat {
  const { zone } = today();
  if (zone !== zoneOf) {
    // A format keeps the zone in which it was made.
    formats.clear();
    zoneOf = zone;
  }
  const key = language() + JSON.stringify(options);
  let found = formats.get(key);
  if (!found) formats.set(key, (found = new Intl.DateTimeFormat(language() === "zh" ? "zh-CN" : "en-GB", options)));
  return found;
}

let zoneOf = "";
