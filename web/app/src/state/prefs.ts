// What a person chose for this browser: theme, language, notifications.

import { createSignal } from "solid-js";
import { firstLanguage, type Language, language, speak } from "../i18n/index.ts";

/** Follow the system, or always one of the two. */
export type Theme = "system" | "light" | "dark";

const dark = matchMedia("(prefers-color-scheme: dark)");
const [theme, setThemeSignal] = createSignal<Theme>(readTheme());
const [notify, setNotifySignal] = createSignal(read("notify") === "on");

export { language, notify, theme };

/** Applies what was chosen; resolves when the words are there. */
export async function applyPrefs(): Promise<void> {
  applyTheme();
  dark.addEventListener("change", applyTheme);
  await speak(firstLanguage(read("language")));
}

export function setTheme(next: Theme): void {
  write("theme", next);
  setThemeSignal(next);
  applyTheme();
}

export async function setLanguage(next: Language): Promise<void> {
  write("language", next);
  await speak(next);
}

export function setNotify(on: boolean): void {
  write("notify", on ? "on" : "off");
  setNotifySignal(on);
}

function applyTheme(): void {
  const isDark = theme() === "dark" || (theme() === "system" && dark.matches);
  document.documentElement.classList.toggle("dark", isDark);
}

function readTheme(): Theme {
  const kept = read("theme");
  return kept === "light" || kept === "dark" ? kept : "system";
}

function read(key: string): string | null {
  return localStorage.getItem(`gogochat.${key}`);
}

function write(key: string, value: string): void {
  localStorage.setItem(`gogochat.${key}`, value);
}
