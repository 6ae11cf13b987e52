// One conversation in the list: name, time, one line, unread.

import type { Conversation, LogEvent } from "@gogochat/client";
import { Match, Show, Switch } from "solid-js";
import { t } from "../i18n/index.ts";
import { type AppState, useApp } from "../state/app.ts";
import { drafts } from "../state/drafts.ts";
import { go, route } from "../state/route.ts";
import { Apart } from "../ui/Apart.tsx";
import { Avatar } from "../ui/Avatar.tsx";
import { systemText } from "../state/events.ts";
import { cut } from "../format/cut.ts";
import { listTime } from "../format/time.ts";

export function ChatRow(props: { conversation: Conversation }) {
  const app = useApp();
  const id = () => props.conversation.id;
  const on = () => route().conversation === id();
  const title = () => app.titleOf(props.conversation);
  const typers = () => app.typing().get(id()) ?? [];
  const draft = () => (on() ? undefined : drafts()[id()]);
  return (
    <div role="listitem">
      <button
        type="button"
        class="row"
        data-row={id()}
        classList={{ on: on() }}
        aria-current={on() ? "true" : undefined}
        data-testid="chat-row"
        data-id={id()}
        data-unread={props.conversation.unread}
        onClick={() => go("chats", id())}
      >
        <Avatar
          id={props.conversation.peer?.id ?? id()}
          name={title()}
          group={props.conversation.group}
          online={props.conversation.writable && app.online(props.conversation.peer?.id)}
        />
        <b>
          <Apart text={title()} />
        </b>
        <time>{listTime(props.conversation.activeMs)}</time>
        <p>
          <Switch fallback={<Apart text={snippet(app, props.conversation)} />}>
            <Match when={typers().length > 0}>
              <span class="typing">
                {props.conversation.group ? typingText(app, typers()) : t().typing} <Dots />
              </span>
            </Match>
            <Match when={draft()}>
              {(text) => (
                <>
                  <span class="draft">{t().draft}</span> <Apart text={text()} />
                </>
              )}
            </Match>
          </Switch>
        </p>
        <Show when={props.conversation.unread > 0}>
          <span class="badge" data-testid="unread">
            <span aria-hidden="true">{props.conversation.unread > 999 ? "999+" : props.conversation.unread}</span>
            <span class="hidden">{t().unreadCount(props.conversation.unread)}</span>
          </span>
        </Show>
      </button>
    </div>
  );
}

/** Who is typing, in words. */
export function typingText(app: AppState, typers: readonly string[]): string {
  const [first] = typers;
  return typers.length === 1 && first ? t().typingOne(app.nameOf(first)) : t().typingMany(typers.length);
}

/** Three dots that breathe. */
export function Dots() {
  return (
    <span class="dots" aria-hidden="true">
      <i />
      <i />
      <i />
    </span>
  );
}

function snippet(app: AppState, conversation: Conversation): string {
  const event: LogEvent | undefined = conversation.lastEvent;
  if (!event) return "";
  if (event.body.kind !== "message") return systemText(app, event.body, event.senderId);
  if (conversation.group && app.blocks(event.senderId)) return t().folded;
  const mine = event.senderId === app.client.me.id;
  const who = mine ? t().you : conversation.group ? app.nameOf(event.senderId) : "";
  const text = cut(event.body.text.replace(/\s+/g, " "), SNIPPET);
  return who ? t().said(who, text) : text;
}

/** Graphemes of the line in the list. */
const SNIPPET = 120;
