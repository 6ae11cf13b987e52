// What was said: a virtual list that keeps its place when older messages come in above, and follows when it stands at the end.

import type { Conversation } from "@gogochat/client";
import { createEffect, createMemo, createSignal, on, onCleanup, onMount, Show } from "solid-js";
import { Virtualizer, type VirtualizerHandle } from "virtua/solid";
import { t } from "../i18n/index.ts";
import { useApp } from "../state/app.ts";
import { attentive } from "../state/attention.ts";
import { use } from "../state/bind.ts";
import { type Row, RowBuilder } from "../state/rows.ts";
import { Icon } from "../ui/Icon.tsx";
import { say } from "../format/errors.ts";
import { Bubble } from "./Bubble.tsx";
import { Dots } from "./ChatRow.tsx";

export function TimelineView(props: { conversation: Conversation }) {
  const app = useApp();
  const id = props.conversation.id;
  const timeline = app.client.timeline(id);
  const items = use(timeline.items);
  const state = use(timeline.state);
  const unreadCount = props.conversation.unread;
  const unreadAfter = unreadCount > 0 ? props.conversation.readSeq : undefined;
  const builder = new RowBuilder();
  const [atEnd, setAtEnd] = createSignal(true);
  let scroller!: HTMLDivElement;
  let list: VirtualizerHandle | undefined;
  let settled = false;
  let lastTop = 0;

  const model = createMemo<{ rows: Row[]; shift: boolean }>(
    (before) => {
      const rows = builder.build(items(), app.client.me.id, unreadAfter);
      const grewAbove = before.rows.length > 0 && rows.length > before.rows.length && rows[0]?.item.key !== before.rows[0]?.item.key;
      return { rows, shift: grewAbove && rows.at(-1)?.item.key === before.rows.at(-1)?.item.key };
    },
    { rows: [], shift: false },
  );
  const rows = () => model().rows;

  const toEnd = (smooth = false) => list?.scrollToIndex(rows().length - 1, { align: "end", smooth });
  const nearEnd = () => scroller.scrollHeight - scroller.scrollTop - scroller.clientHeight < NEAR_PX;
  const measure = () => {
    if (!list) return;
    const top = scroller.scrollTop;
    // Only a move upwards leaves the end: what grows below is followed.
    if (nearEnd()) setAtEnd(true);
    else if (top < lastTop) setAtEnd(false);
    lastTop = top;
    if (settled && list.scrollOffset < list.viewportSize && !state().complete && !state().loadingOlder && !state().error) {
      void timeline.loadOlder();
    }
    markSeen();
  };
  /** Everything down to the lower edge has been seen. */
  const markSeen = () => {
    if (!attentive() || !list) return;
    const last = atEnd() ? rows().length - 1 : list.findItemIndex(list.scrollOffset + list.viewportSize - NEAR_PX);
    for (let i = Math.min(last, rows().length - 1); i >= 0; i--) {
      const seq = rows()[i]?.item.seq ?? 0;
      if (seq > 0) return app.client.markRead(id, seq);
    }
  };

  // Begin at the first unread message where it is at hand, else at the end.
  const settle = () => {
    if (settled || rows().length === 0) return;
    const first = rows().findIndex((row) => row.unread);
    if (first > 0) list?.scrollToIndex(first, { align: "start" });
    else toEnd();
    requestAnimationFrame(() => {
      settled = true;
      setAtEnd(nearEnd());
      measure();
    });
  };
  createEffect(
    on(rows, (now, before) => {
      if (!settled) return settle();
      const mine = now.at(-1)?.item;
      const sentNow = mine?.state === "sending" && mine.key !== before?.at(-1)?.item.key;
      if (!model().shift && (atEnd() || sentNow)) toEnd();
      queueMicrotask(measure);
    }),
  );
  createEffect(on(attentive, markSeen));
  onMount(() => {
    // The keyboard of a phone, or the composer, takes room: the last message stays in view.
    const observer = new ResizeObserver(() => atEnd() && toEnd());
    observer.observe(scroller);
    onCleanup(() => observer.disconnect());
  });

  return (
    <div class="tl-frame">
      <div class="tl" ref={scroller} role="log" aria-label={t().messages} aria-live="polite" tabIndex={0} data-testid="timeline">
        <div class="grow">
          <Show when={rows().length === 0}>
            <Placeholder conversation={props.conversation} loading={state().loading} error={state().error !== undefined} />
          </Show>
        </div>
        <Virtualizer
          ref={(handle) => {
            list = handle;
          }}
          data={rows()}
          shift={model().shift}
          scrollRef={scroller}
          onScroll={measure}
          onResize={() => {
            if (settled && atEnd()) toEnd();
            measure();
          }}
        >
          {(row) => <Bubble row={row} conversation={props.conversation} unreadCount={unreadCount} />}
        </Virtualizer>
      </div>
      <Show when={state().loadingOlder}>
        <div class="older late" role="status" aria-label={t().loading}>
          <Dots />
        </div>
      </Show>
      <Show when={state().error && rows().length > 0}>
        <div class="older bad" role="alert">
          {t().loadFailed} {state().error && say(state().error ?? "internal")}
          <button type="button" onClick={() => void timeline.loadOlder()}>
            {t().retry}
          </button>
        </div>
      </Show>
      <Show when={!atEnd() && rows().length > 0}>
        <button type="button" class="jump" aria-label={t().jumpNewest} title={t().jumpNewest} data-testid="jump-newest" onClick={() => toEnd()}>
          <Icon name="down" />
          <Show when={props.conversation.unread > 0}>
            <b class="badge">{props.conversation.unread}</b>
          </Show>
        </button>
      </Show>
    </div>
  );
}

function Placeholder(props: { conversation: Conversation; loading: boolean; error: boolean }) {
  return (
    <Show
      when={!props.loading}
      fallback={
        <div class="ghosts late" role="status" aria-label={t().loading}>
          <i />
          <i />
          <i class="me" />
          <i />
        </div>
      }
    >
      <div class="empty">
        <h2>{props.error ? t().loadFailed : t().emptyChat}</h2>
        <p>{props.error ? t().errors.offline : t().emptyChatHint}</p>
      </div>
    </Show>
  );
}

/** So near to the end counts as the end. */
const NEAR_PX = 48;
