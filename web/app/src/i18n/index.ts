// The language of the page: English is here at once, others are fetched when they are chosen.

import { type Accessor, createSignal } from "solid-js";
import { en, type Messages } from "./en.ts";

/** The languages the page speaks, each by its own name. */
export const LANGUAGES = { en: "English", zh: "中文" } as const;

/** A language of the page. */
export type Language = keyof typeof LANGUAGES;

const [messages, setMessages] = createSignal<Messages>(en);
const [language, setLanguage] = createSignal<Language>("en");

/** The words in the current language; reading them in a view follows a change. */
export const t: Accessor<Messages> = messages;
export { language };

/**
 * Speaks a language from now on; of two at once the later. Rejects, and changes nothing, when its
 * words cannot be loaded.
 */
export async function speak(next: Language): Promise<void> {
  const mine = ++turn;
  const words = next === "zh" ? (await import("./zh.ts")).zh : en;
  if (mine !== turn) return;
  setMessages(words);
  setLanguage(next);
  document.documentElement.lang = next === "zh" ? "zh-CN" : "en";
}

let turn = 0;

/** The language to begin with: the chosen one, or what the browser asks for. */
export function firstLanguage(chosen: string | null): Language {
  if (chosen === "en" || chosen === "zh") return chosen;
  return navigator.languages.find((tag) => /^(en|zh)\b/i.test(tag))?.slice(0, 2).toLowerCase() === "zh" ? "zh" : "en";
}
