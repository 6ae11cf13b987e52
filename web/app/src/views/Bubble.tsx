// One row of a timeline: dividers, then a bubble or a line.

import type { Conversation, TimelineItem } from "@gogochat/client";
import { createEffect, createSignal, For, Match, Show, Switch } from "solid-js";
import { t } from "../i18n/index.ts";
import { useApp } from "../state/app.ts";
import type { Row } from "../state/rows.ts";
import { Apart } from "../ui/Apart.tsx";
import { Avatar } from "../ui/Avatar.tsx";
import { say } from "../format/errors.ts";
import { Icon, ReadIcon } from "../ui/Icon.tsx";
import { hue } from "../format/identity.ts";
import { systemText } from "../state/events.ts";
import { parts } from "../format/links.ts";
import { onlyEmoji } from "../format/pictures.ts";
import { clockTime, dayName } from "../format/time.ts";

/** How far a message of one's own has got. */
export type TickState = "sending" | "sent" | "delivered" | "read" | "failed";

export function Bubble(props: { row: Row; conversation: Conversation; unreadCount: number }) {
  const app = useApp();
  const item = props.row.item;
  return (
    <>
      <Show when={props.row.day}>
        <div class="day">{dayName(item.timeMs)}</div>
      </Show>
      <Show when={props.row.unread}>
        <div class="unread" data-testid="unread-divider">
          {t().unreadCount(props.unreadCount)}
        </div>
      </Show>
      <Show when={item.body.kind === "message"} fallback={<div class="sys">{systemText(app, item.body, item.senderId)}</div>}>
        <MessageBubble row={props.row} item={item} conversation={props.conversation} />
      </Show>
    </>
  );
}

function MessageBubble(props: { row: Row; item: TimelineItem; conversation: Conversation }) {
  const app = useApp();
  const { item } = props;
  const mine = item.senderId === app.client.me.id;
  const text = item.body.kind === "message" ? item.body.text : "";
  const [shown, setShown] = createSignal(false);
  /** In a group all are delivered alike: what somebody wrote whom one blocks is shown when it is asked for. */
  const folded = () => props.conversation.group && !shown() && app.blocks(item.senderId);
  const tick = (): TickState => tickState(item, props.conversation);
  return (
    <div
      class="m"
      classList={{ me: mine, first: props.row.first, more: props.row.more, group: props.conversation.group }}
      data-testid="message"
      data-seq={item.seq}
      data-key={item.key}
      data-mine={mine}
      data-state={mine ? tick() : undefined}
    >
      <Show when={!mine && props.conversation.group}>
        <Show when={!props.row.more} fallback={<span />}>
          <Avatar id={item.senderId} name={app.nameOf(item.senderId)} small />
        </Show>
      </Show>
      <div class="b">
        <Show when={!mine && props.conversation.group && props.row.first}>
          <Who id={item.senderId} />
        </Show>
        <Show
          when={!folded()}
          fallback={
            <button type="button" class="link folded" data-testid="folded" onClick={() => setShown(true)}>
              {t().folded}. {t().show}
            </button>
          }
        >
          <span class="text" classList={{ large: onlyEmoji(text) }} dir="auto" data-testid="text">
          <For each={parts(text)}>
            {(part) => (
              <Show when={part.href} fallback={part.text}>
                <a href={part.href} target="_blank" rel="noopener noreferrer nofollow">
                  {part.text}
                </a>
              </Show>
            )}
          </For>
        </span>
        </Show>
        <span class="meta">
          <time>{clockTime(item.timeMs)}</time>
          <Show when={mine}>
            <Tick state={tick()} />
          </Show>
        </span>
      </div>
      <Show when={item.state === "failed"}>
        <div class="failed" role="alert" data-testid="failed">
          <span>
            {t().stateFailed}. {item.error && say(item.error)}
          </span>
          <button type="button" data-testid="retry" onClick={() => app.client.retry(props.conversation.id, item.clientMsgId)}>
            {t().retry}
          </button>
          <button type="button" onClick={() => app.client.discard(props.conversation.id, item.clientMsgId)}>
            {t().discard}
          </button>
        </div>
      </Show>
    </div>
  );
}

function Who(props: { id: string }) {
  const app = useApp();
  let line!: HTMLDivElement;
  createEffect(() => line.style.setProperty("--h", String(hue(props.id))));
  return (
    <div class="who" ref={line}>
      <Apart text={app.nameOf(props.id)} />
    </div>
  );
}

function Tick(props: { state: TickState }) {
  const label = () =>
    ({
      sending: t().stateSending,
      sent: t().stateSent,
      delivered: t().stateDelivered,
      read: t().stateRead,
      failed: t().stateFailed,
    })[props.state];
  return (
    <span class={`tick ${props.state}`} role="img" aria-label={label()} title={label()}>
      <Switch>
        <Match when={props.state === "sending"}>
          <Icon name="clock" />
        </Match>
        <Match when={props.state === "sent"}>
          <Icon name="sent" />
        </Match>
        <Match when={props.state === "delivered"}>
          <Icon name="delivered" />
        </Match>
        <Match when={props.state === "read"}>
          <ReadIcon />
        </Match>
        <Match when={props.state === "failed"}>
          <Icon name="failed" />
        </Match>
      </Switch>
    </span>
  );
}

function tickState(item: TimelineItem, conversation: Conversation): TickState {
  if (item.state !== "committed") return item.state;
  if (conversation.othersReadSeq >= item.seq) return "read";
  return conversation.othersDeliveredSeq >= item.seq ? "delivered" : "sent";
}
