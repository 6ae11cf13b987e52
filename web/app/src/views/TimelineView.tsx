// What was said: a virtual list that opens at the first unread message or where it was left, keeps
// its place when messages come in
// above or below, and follows when it stands at the end. What has been on the screen, with the page
// in front, is read.

import type { Conversation } from "@gogochat/client";
import { createEffect, createMemo, createSignal, on, onCleanup, onMount, Show } from "solid-js";
import { Virtualizer, type VirtualizerHandle } from "virtua/solid";
import { today } from "../format/day.ts";
import { say } from "../format/errors.ts";
import { t } from "../i18n/index.ts";
import { useApp } from "../state/app.ts";
import { attentive } from "../state/attention.ts";
import { use } from "../state/bind.ts";
import { leavePlace, placeIn } from "../state/places.ts";
import { type Row, RowBuilder } from "../state/rows.ts";
import { Icon } from "../ui/Icon.tsx";
import { Bubble } from "./Bubble.tsx";
import { Dots } from "./ChatRow.tsx";

export function TimelineView(props: { conversation: Conversation }) {
  const app = useApp();
  const id = props.conversation.id;
  const me = app.client.me.id;
  const timeline = app.client.timeline(id);
  const items = use(timeline.items);
  const state = use(timeline.state);
  const builder = new RowBuilder();
  /** Where the divider is: behind this event, over so many messages. */
  const [unread, setUnread] = createSignal<{ after: number; count: number }>();
  const [atEnd, setAtEnd] = createSignal(true);
  const [heard, setHeard] = createSignal("");
  let scroller!: HTMLDivElement;
  let list: VirtualizerHandle | undefined;
  let settled = false;
  let settling = false;
  /** At the end, and to stay there. */
  let pinned = false;
  let lastTop = 0;
  /** By a person's hand. */
  let moved = false;
  let wasNewest = true;

  const model = createMemo<{ rows: Row[]; shift: boolean }>(
    (before) => {
      const rows = builder.build(items(), me, unread()?.after, today().zone);
      const grewAbove = before.rows.length > 0 && rows.length > before.rows.length && rows[0]?.item.key !== before.rows[0]?.item.key;
      // Before the list has its measure there is no place to keep, and it would draw nothing.
      const shift = settled && grewAbove && rows.at(-1)?.item.key === before.rows.at(-1)?.item.key;
      return { rows, shift };
    },
    { rows: [], shift: false },
  );
  const rows = () => model().rows;
  const indexOf = (fits: (row: Row) => boolean) => rows().findIndex(fits);
  const firstUnseen = () => indexOf(({ item }) => item.seq > props.conversation.readSeq && item.senderId !== me && item.body.kind === "message");

  const toEnd = (smooth = false) => list?.scrollToIndex(rows().length - 1, { align: "end", smooth });
  const nearEnd = () => scroller.scrollHeight - scroller.scrollTop - scroller.clientHeight < NEAR_PX;
  /** At the newest message, not at the end of what is loaded alone. */
  const atNewest = () => nearEnd() && state().newest;
  /** To the end, but not past what nobody has seen: where that fills the screen, there it stays. */
  const follow = () => {
    const first = firstUnseen();
    if (!list || first < 0) return toEnd();
    list.scrollToIndex(first, { align: "start", offset: -DIVIDER_PX });
    // Rows that are new have no measure yet.
    const height = Math.max(list.scrollSize - list.getItemOffset(first), (rows().length - first) * LEAST_PX);
    if (height > list.viewportSize + NEAR_PX) pinned = false;
  };
  const stay = () => {
    if (settled && pinned && state().newest) follow();
  };
  const measure = () => {
    if (!list || !settled) return;
    const top = scroller.scrollTop;
    if (atNewest()) pinned = true;
    // Only a person leaves the end: what grows below is followed, unless it grew while nobody was here.
    else if (moved || top < lastTop - 1 || !state().newest) pinned = false;
    moved = false;
    setAtEnd(nearEnd());
    lastTop = top;
    const first = list.findItemIndex(list.scrollOffset);
    const key = rows()[first]?.item.key;
    leavePlace(id, atNewest() || !key ? undefined : { key, above: list.scrollOffset - list.getItemOffset(first) });
    const { complete, newest, loadingOlder, loadingNewer, error } = state();
    if (!complete && !loadingOlder && !error && list.scrollOffset < list.viewportSize) void timeline.loadOlder();
    const below = list.scrollSize - list.scrollOffset - list.viewportSize;
    if (!newest && !loadingNewer && !error && below < list.viewportSize) void timeline.loadNewer();
    markSeen();
  };
  /** Once a frame, as the browser lays out what is measured: asked in between, it would do so each time. */
  let frame = 0;
  const measureSoon = () => {
    frame ||= requestAnimationFrame(() => {
      frame = 0;
      measure();
    });
  };
  /** What is on the screen down to its lower edge has been seen. */
  const markSeen = () => {
    if (!attentive() || !settled || !list || rows().length === 0) return;
    const edge = list.scrollOffset + list.viewportSize;
    let last = nearEnd() ? rows().length - 1 : list.findItemIndex(edge);
    if (!nearEnd() && list.getItemOffset(last) + list.getItemSize(last) > edge + SLACK_PX) last--;
    for (let i = Math.min(last, rows().length - 1); i >= 0; i--) {
      const seq = rows()[i]?.item.seq ?? 0;
      if (seq > 0) return app.client.markRead(id, seq);
    }
  };

  /** To where one begins: where it was left, else at the first unread message, else at the end. */
  const begin = () => {
    const place = placeIn(id);
    const left = place ? indexOf(({ item }) => item.key === place.key) : -1;
    const first = firstUnseen();
    if (place && left >= 0) list?.scrollToIndex(left, { align: "start", offset: place.above });
    else if (first >= 0) list?.scrollToIndex(first, { align: "start", offset: -DIVIDER_PX });
    else toEnd();
  };
  const settle = () => {
    if (settled || settling || moving || rows().length === 0) return;
    settling = true;
    const { unread: count, readSeq } = props.conversation;
    if (count > 0) setUnread({ after: readSeq, count });
    begin();
    // Once more when the rows have their heights.
    requestAnimationFrame(() => {
      begin();
      requestAnimationFrame(() => {
        settled = true;
        pinned = atNewest();
        lastTop = scroller.scrollTop;
        measure();
      });
    });
  };
  /** Moves the window over the log; where it opens is settled anew. */
  let moving = false;
  const move = async (step: () => Promise<void>) => {
    moving = true;
    await step().catch(() => {});
    moving = false;
  };
  const jump = async () => {
    leavePlace(id, undefined);
    await move(() => timeline.moveToNewest());
    settled = true;
    pinned = true;
    queueMicrotask(() => toEnd());
  };

  createEffect(
    on(rows, (now, before) => {
      if (!settled) return settle();
      const last = now.at(-1)?.item;
      const lastBefore = before?.at(-1)?.item;
      const grewBelow = !model().shift && last?.key !== lastBefore?.key;
      const live = grewBelow && wasNewest;
      const { unread: count, readSeq } = props.conversation;
      // Many at once, or from behind a gap: they were missed.
      const missed = grewBelow && (!wasNewest || now.length - (before?.length ?? 0) >= MISSED);
      if (missed && count > 0) setUnread((is) => (is && readSeq <= is.after ? is : { after: readSeq, count }));
      wasNewest = state().newest;
      if (last?.state === "sending" && last.key !== lastBefore?.key) {
        setUnread(undefined);
        pinned = true;
        toEnd();
      } else if (live && last && last.senderId !== me) {
        if (last.body.kind === "message" && !app.blocks(last.senderId)) setHeard(`${app.nameOf(last.senderId)}: ${last.body.text}`);
        if (!attentive()) setUnread((is) => (is && readSeq <= is.after ? is : { after: readSeq, count: 1 }));
        stay();
      } else if (live) {
        stay();
      }
      measureSoon();
    }),
  );
  // While nobody looks, it counts.
  createEffect(() => {
    const { unread: count, readSeq } = props.conversation;
    if (!attentive() && count > 0) setUnread((is) => (is?.after === readSeq && is.count !== count ? { ...is, count } : is));
  });
  createEffect(on(state, ({ newest }) => queueMicrotask(() => (wasNewest = newest))));
  // A message of one's own is behind the newest: that is where it leads.
  createEffect(
    on(
      use(app.client.waiting),
      (now, before) => {
        if (before !== undefined && now > before && !state().newest) void jump();
      },
      { defer: true },
    ),
  );
  createEffect(
    on(attentive, () => {
      // What was held on the screen for the one who comes back is theirs to leave.
      moved = true;
      measureSoon();
    }),
  );
  onMount(() => {
    // Opened before: the window is where it was. What is unread may be outside of it.
    const { unread: count, readSeq } = props.conversation;
    if (items().length > 0 && !placeIn(id)) {
      void move(() => (count > 0 ? timeline.moveTo(readSeq + 1) : timeline.moveToNewest())).then(settle);
    }
    // The keyboard of a phone, or the composer, takes room: the last message stays in view.
    const observer = new ResizeObserver(() => {
      stay();
    });
    observer.observe(scroller);
    const onMove = () => {
      moved = true;
    };
    for (const event of HANDS) scroller.addEventListener(event, onMove, { passive: true });
    onCleanup(() => {
      observer.disconnect();
      cancelAnimationFrame(frame);
    });
  });
  return (
    <div class="tl-frame">
      {/* Not live as a whole: what is loaded of old would be read out. What comes new is said below. */}
      <div class="tl" ref={scroller} role="log" aria-label={t().messages} aria-live="off" tabIndex={0} data-testid="timeline">
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
          onScroll={measureSoon}
          onResize={() => {
            stay();
            measureSoon();
          }}
        >
          {(row) => <Bubble row={row} conversation={props.conversation} unreadCount={unread()?.count ?? 0} />}
        </Virtualizer>
      </div>
      <div class="hidden" role="status" data-testid="heard">
        {heard()}
      </div>
      <Show when={state().loadingOlder}>
        <div class="older late" role="status" aria-label={t().loading}>
          <Dots />
        </div>
      </Show>
      <Show when={state().error && rows().length > 0}>
        <div class="older bad" role="alert">
          {t().loadFailed} {state().error && say(state().error ?? "internal")}
          <button type="button" onClick={() => void (state().newest ? timeline.loadOlder() : timeline.loadNewer())}>
            {t().retry}
          </button>
        </div>
      </Show>
      <Show when={rows().length > 0 && (!atEnd() || !state().newest)}>
        <button type="button" class="jump" title={t().jumpNewest} data-testid="jump-newest" onClick={() => void jump()}>
          <Icon name="down" />
          <span class="hidden">{t().jumpNewest}</span>
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

/** So many new messages in one turn were not written in one. */
const MISSED = 5;
/** By these a person scrolls. */
const HANDS = ["wheel", "touchmove", "keydown", "pointerdown"];
/** So near to the end counts as the end. */
const NEAR_PX = 48;
/** No row is lower. */
const LEAST_PX = 24;
/** A row whose lower edge is hidden by less has been seen. */
const SLACK_PX = 12;
/** Room for the divider over the first unread message. */
const DIVIDER_PX = 8;
