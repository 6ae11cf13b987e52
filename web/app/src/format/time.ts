// Times as people say them, in the page's language and the browser's zone.

import { language, t } from "../i18n/index.ts";

const formats = new Map<string, Intl.DateTimeFormat>();

/** Hours and minutes. */
export function clockTime(ms: number): string {
  return format({ hour: "2-digit", minute: "2-digit", hour12: false }).format(ms);
}

/** The day of a divider: today, yesterday, a weekday of the last week, or a date. */
export function dayName(ms: number, now = Date.now()): string {
  const days = daysBetween(ms, now);
  if (days === 0) return t().today;
  if (days === 1) return t().yesterday;
  if (days < 7) return format({ weekday: "long" }).format(ms);
  const sameYear = new Date(ms).getFullYear() === new Date(now).getFullYear();
  return format(sameYear ? { month: "long", day: "numeric" } : { dateStyle: "long" }).format(ms);
}

/** The time in a list: of today the clock, else the day, short. */
export function listTime(ms: number, now = Date.now()): string {
  if (ms === 0) return "";
  const days = daysBetween(ms, now);
  if (days === 0) return clockTime(ms);
  if (days === 1) return t().yesterday;
  if (days < 7) return format({ weekday: "short" }).format(ms);
  return format({ year: "2-digit", month: "numeric", day: "numeric" }).format(ms);
}

/** Day and time in one. */
export function moment(ms: number): string {
  return daysBetween(ms, Date.now()) === 0 ? clockTime(ms) : `${dayName(ms)} ${clockTime(ms)}`;
}

/** Whether two times fall on the same day. */
export function sameDay(a: number, b: number): boolean {
  return daysBetween(a, b) === 0;
}

function daysBetween(ms: number, now: number): number {
  const day = (time: number) => new Date(time).setHours(0, 0, 0, 0);
  return Math.round((day(now) - day(ms)) / 86_400_000);
}

function format(options: Intl.DateTimeFormatOptions): Intl.DateTimeFormat {
  const key = language() + JSON.stringify(options);
  let found = formats.get(key);
  if (!found) formats.set(key, (found = new Intl.DateTimeFormat(language() === "zh" ? "zh-CN" : "en-GB", options)));
  return found;
}
