// Where the person is: kept in the address, so that Back works and a reload comes back to the same place.

import { createSignal } from "solid-js";

/** The left pane. */
export type Section = "chats" | "contacts" | "settings" | "admin";

/** A place in the page. */
export interface Route {
  readonly section: Section;
  /** The open conversation; of administration, what is looked at there. */
  readonly conversation: string | undefined;
}

const [route, setRoute] = createSignal<Route>(parse(location.hash), { equals: isSame });
addEventListener("hashchange", () => setRoute(parse(location.hash)));

export { route };

/** Goes somewhere, at once: the browser tells of the new address some time later, and the next key may come before. */
export function go(section: Section, conversation?: string): void {
  const hash = conversation ? `#/${section}/${conversation}` : `#/${section}`;
  if (location.hash !== hash) location.hash = hash;
  setRoute(parse(hash));
}

/** In place of a conversation: joining a group, by the code behind it where there is one. */
const JOIN = "join-";

/** The code by which a group is being joined, perhaps none yet; undefined: none is. */
export function joining(): string | undefined {
  const { section, conversation } = route();
  return section === "chats" && conversation?.startsWith(JOIN) ? conversation.slice(JOIN.length) : undefined;
}

/** Goes to where a group is joined. */
export function goJoin(): void {
  go("chats", JOIN);
}

/** The address at which others join by a code. */
export function joinLink(code: string): string {
  return `${location.origin}/#/chats/${JOIN}${code}`;
}

function isSame(one: Route, other: Route): boolean {
  return one.section === other.section && one.conversation === other.conversation;
}

function parse(hash: string): Route {
  const [, section, conversation] = hash.split("/");
  return {
    section: section === "contacts" || section === "settings" || section === "admin" ? section : "chats",
    conversation: conversation || undefined,
  };
}

const narrowQuery = matchMedia("(max-width: 699px)");
const [narrow, setNarrow] = createSignal(narrowQuery.matches);
narrowQuery.addEventListener("change", () => setNarrow(narrowQuery.matches));

/** Whether there is room for one pane alone. */
export { narrow };
