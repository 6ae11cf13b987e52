// What a person chose for this browser, in all its tabs: theme, language, notifications.

import { createRoot, createSignal } from "solid-js";
import { firstLanguage, type Language, language, speak } from "../i18n/index.ts";
import { onOtherTab, read, write } from "./kept.ts";

/** Follow the system, or always one of the two. */
export type Theme = "system" | "light" | "dark";

const dark = matchMedia("(prefers-color-scheme: dark)");
const [theme, setThemeSignal] = createSignal<Theme>(toTheme(read("theme")));
const [notify, setNotifySignal] = createSignal(read("notify") === "on");
const [wordless, setWordless] = createSignal<Language>();

export { language, notify, theme };

/** The language whose words could not be loaded when it was chosen. */
export { wordless };

/** Applies what was chosen; resolves when the words are there, or cannot be had. */
export async function applyPrefs(): Promise<void> {
  applyTheme();
  dark.addEventListener("change", applyTheme);
  createRoot(() =>
    onOtherTab((key, value) => {
      if (key === "theme") showTheme(toTheme(value));
      else if (key === "notify") setNotifySignal(value === "on");
      else if (key === "language") void change(firstLanguage(value));
      // Cleared: what is chosen stays so, and is kept anew.
      else if (key === undefined) for (const [name, now] of [["theme", theme()], ["notify", notify() ? "on" : "off"], ["language", language()]] as const) write(name, now);
    }),
  );
  await change(firstLanguage(read("language")));
}

export function setTheme(next: Theme): void {
  write("theme", next);
  showTheme(next);
}

/** Speaks another language, and keeps the choice once it has worked. */
export async function setLanguage(next: Language): Promise<void> {
  if (await change(next)) write("language", next);
}

export function setNotify(on: boolean): void {
  write("notify", on ? "on" : "off");
  setNotifySignal(on);
}

async function change(next: Language): Promise<boolean> {
  try {
    await speak(next);
    setWordless(undefined);
    return true;
  } catch {
    setWordless(next);
    return false;
  }
}

function showTheme(next: Theme): void {
  setThemeSignal(next);
  applyTheme();
}

function applyTheme(): void {
  const isDark = theme() === "dark" || (theme() === "system" && dark.matches);
  document.documentElement.classList.toggle("dark", isDark);
}

function toTheme(kept: string | null): Theme {
  return kept === "light" || kept === "dark" ? kept : "system";
}
