// The language of the page: English is here at once, others are fetched when they are chosen. The
// words of the conversations come with these.

import { type Accessor, createSignal } from "solid-js";
import { en, type FirstMessages } from "./en.ts";
import type { ChatMessages } from "./en-chat.ts";

/** The languages the page speaks, each by its own name. */
export const LANGUAGES = { en: "English", zh: "中文" } as const;

/** A language of the page. */
export type Language = keyof typeof LANGUAGES;

type Messages = FirstMessages & ChatMessages;

/** Whether somebody is signed in, so that the words of the conversations are needed. */
let chatting = false;
let turn = 0;
// Before they are fetched no view is there that says any of them.
const [messages, setMessages] = createSignal<Messages>(en as Messages);
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
  const words = await fetchWords(next);
  if (mine !== turn) return;
  setMessages(words);
  setLanguage(next);
  document.documentElement.lang = next === "zh" ? "zh-CN" : "en";
}

/** Fetches the words of the conversations: in English where those of the language cannot be had. */
export async function speakOfChats(): Promise<void> {
  chatting = true;
  await speak(language()).catch(() => speak("en"));
}

/** The language to begin with: the chosen one, or what the browser asks for. */
export function firstLanguage(chosen: string | null): Language {
  if (chosen === "en" || chosen === "zh") return chosen;
  return navigator.languages.find((tag) => /^(en|zh)\b/i.test(tag))?.slice(0, 2).toLowerCase() === "zh" ? "zh" : "en";
}

async function fetchWords(of: Language): Promise<Messages> {
  const first = of === "zh" ? import("./zh.ts").then(({ zh }) => zh) : en;
  if (!chatting) return (await first) as Messages;
  const chat = of === "zh" ? import("./zh-chat.ts").then(({ zhChat }) => zhChat) : import("./en-chat.ts").then(({ enChat }) => enChat);
  return { ...(await first), ...(await chat) };
}
