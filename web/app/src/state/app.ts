// What every view of a signed-in device may use.

import type { Auth, Client, Conversation, Person } from "@gogochat/client";
import { type Accessor, createContext, createSignal, useContext } from "solid-js";
import { t } from "../i18n/index.ts";
import { use } from "./bind.ts";

/** What a toast offers. */
export interface ToastAction {
  readonly label: string;
  run(): void;
}

/** Something that is said once. */
export interface Toast {
  readonly text: string;
  readonly action: ToastAction | undefined;
}

/** The signed-in device and what the page derives from it. */
export interface AppState {
  readonly auth: Auth;
  readonly client: Client;
  /** Who is signed in, as they call themselves now. */
  readonly me: Accessor<Person>;
  /** Whether they may administer the server. */
  readonly administrator: Accessor<boolean>;
  readonly conversations: Accessor<readonly Conversation[]>;
  /** A conversation by its id. */
  conversation(id: string): Conversation | undefined;
  /** What a person is called. */
  nameOf(userId: string): string;
  /** What a conversation is called. */
  titleOf(conversation: Conversation): string;
  online(userId: string | undefined): boolean;
  /** Whether the user blocks somebody. */
  blocks(userId: string | undefined): boolean;
  readonly typing: Accessor<ReadonlyMap<string, readonly string[]>>;
  readonly toast: Accessor<Toast | undefined>;
  /** Says something once; `action` stands in place of OK. */
  showToast(text: string | undefined, action?: ToastAction): void;
  /** Signs this device out. */
  leave(): void;
}

const Context = createContext<AppState>();
export const AppProvider = Context.Provider;

/** The state of the enclosing Shell. */
export function useApp(): AppState {
  const app = useContext(Context);
  if (!app) throw new Error("outside of Shell");
  return app;
}

/** Derives the page's state from a client. */
export function createAppState(auth: Auth, client: Client, leave: () => void): AppState {
  const conversations = use(client.conversations);
  const people = use(client.people);
  const presence = use(client.presence);
  const signedIn = use(auth.signedIn);
  const blocked = use(client.blocked);
  const [toast, setToast] = createSignal<Toast>();
  const nameOf = (userId: string) => people().get(userId)?.displayName ?? t().somebody;
  return {
    auth,
    client,
    me: () => people().get(client.me.id) ?? client.me,
    administrator: () => signedIn()?.administrator === true,
    conversations,
    conversation: (id) => {
      conversations();
      return client.conversation(id);
    },
    nameOf,
    titleOf: (c) => (c.group ? c.title : personName(c.peer, nameOf)),
    online: (userId) => userId !== undefined && presence().get(userId)?.online === true,
    blocks: (userId) => userId !== undefined && blocked().has(userId),
    typing: use(client.typing),
    toast,
    showToast: (text, action) => setToast(text === undefined ? undefined : { text, action }),
    leave,
  };
}

function personName(person: Person | undefined, nameOf: (id: string) => string): string {
  return person ? (person.displayName || nameOf(person.id)) : t().somebody;
}
