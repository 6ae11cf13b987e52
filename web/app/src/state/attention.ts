// Where the person's attention is, and how the page asks for it: title, notifications.

import type { News } from "@gogochat/client";
import { createEffect, createSignal, onCleanup } from "solid-js";
import { cut } from "../format/cut.ts";
import { t } from "../i18n/index.ts";
import type { AppState } from "./app.ts";
import { show, watchNotices } from "./notify.ts";
import { notify } from "./prefs.ts";
import { go, route } from "./route.ts";

const looking = () => document.visibilityState === "visible" && document.hasFocus();
const [attentive, setAttentive] = createSignal(looking());

/** Whether the page is visible and has the focus. */
export { attentive };

/** Tells the client whether somebody looks, counts unread messages in the title, and notifies of new ones. */
export function watchAttention(app: AppState): void {
  const look = () => {
    setAttentive(looking());
    app.client.attentive = document.visibilityState === "visible";
  };
  const online = () => app.client.kick();
  const targets: [EventTarget, string, () => void][] = [
    [document, "visibilitychange", look],
    [window, "focus", look],
    [window, "blur", look],
    [window, "pageshow", online],
    [window, "online", online],
  ];
  for (const [target, name, listener] of targets) target.addEventListener(name, listener);
  onCleanup(() => {
    for (const [target, name, listener] of targets) target.removeEventListener(name, listener);
    document.title = "gogochat";
  });
  look();

  createEffect(() => {
    const unread = app.conversations().reduce((sum, c) => sum + c.unread, 0);
    document.title = unread > 0 ? `(${unread > 999 ? "999+" : unread}) gogochat` : "gogochat";
  });

  watchNotices();
  const ends = [
    app.client.onMessage((conversation, event, missed) => {
      // What was missed is counted, not announced; and of all tabs one announces.
      if (missed || event.body.kind !== "message" || !app.client.leading || !notify()) return;
      if (app.blocks(event.senderId)) return;
      if (attentive() && route().conversation === conversation.id) return;
      const from = app.nameOf(event.senderId);
      const title = conversation.group ? `${from} · ${conversation.title}` : from;
      show({ title, body: event.body.text, tag: conversation.id, conversation: conversation.id });
    }),
    app.client.onNews((news, missed) => {
      if (!missed) void announce(app, news);
    }),
  ];
  onCleanup(() => {
    for (const end of ends) end();
  });
}

/** Says on the page what somebody did, and beside it when nobody looks. */
async function announce(app: AppState, news: News): Promise<void> {
  let text: string;
  let body = "";
  let lead: () => void;
  let conversation: string | undefined;
  if (news.kind === "requested") {
    text = t().arrivedRequest(news.person.displayName);
    body = news.note;
    lead = () => go("contacts");
  } else if (news.kind === "removed") {
    return app.showToast(t().arrivedRemoval(app.nameOf(news.byId), news.title));
  } else if (news.kind === "accepted") {
    conversation = news.conversationId;
    text = t().arrivedAccept(news.person.displayName);
    lead = () => go("chats", news.conversationId);
  } else {
    conversation = news.conversationId;
    const group = await app.client.whenKnown(news.conversationId);
    // Made by oneself, or the conversation with a new contact, which has its own word.
    const by = group?.lastEvent?.senderId;
    if (!group?.group || !by || by === app.client.me.id) return;
    text = t().arrivedGroup(app.nameOf(by), group.title);
    lead = () => go("chats", news.conversationId);
  }
  // Whoever is at the contacts sees it come in.
  if (news.kind !== "requested" || route().section !== "contacts") app.showToast(body ? `${text} “${cut(body, NOTE)}”` : text, { label: t().show, run: lead });
  if (app.client.leading && notify() && !attentive()) show({ title: text, body, tag: `${news.kind} ${conversation ?? ""}`, ...(conversation && { conversation }) });
}

/** Graphemes of a note in a line. */
const NOTE = 80;
