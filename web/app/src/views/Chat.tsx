// An open conversation: who it is, what was said, what to say.

import type { Conversation } from "@gogochat/client";
import { createSignal, Show } from "solid-js";
import { Dynamic } from "solid-js/web";
import { t } from "../i18n/index.ts";
import { useApp } from "../state/app.ts";
import { use } from "../state/bind.ts";
import { go, narrow } from "../state/route.ts";
import { Apart } from "../ui/Apart.tsx";
import { Avatar } from "../ui/Avatar.tsx";
import { Chip } from "../ui/Chip.tsx";
import { Icon } from "../ui/Icon.tsx";
import { moment } from "../format/time.ts";
import { Dots, typingText } from "./ChatRow.tsx";
import { Composer } from "./Composer.tsx";
import { Panel } from "./Panel.tsx";
import { TimelineView } from "./TimelineView.tsx";

export function Chat(props: { id: string }) {
  const app = useApp();
  const [panel, setPanel] = createSignal(false);
  const conversation = () => app.conversation(props.id);
  return (
    <Show when={conversation()} fallback={<Missing />}>
      {(here) => (
        <div class="chat-and-panel">
          <div class="chat" data-testid="chat" data-id={props.id}>
            <Top conversation={here()} panel={panel()} onPanel={() => setPanel(!panel())} />
            <TimelineView conversation={here()} />
            <Composer conversation={here()} />
          </div>
          <Show when={panel()}>
            <Panel conversation={here()} onClose={() => setPanel(false)} />
          </Show>
        </div>
      )}
    </Show>
  );
}

function Top(props: { conversation: Conversation; panel: boolean; onPanel: () => void }) {
  const app = useApp();
  const peer = () => props.conversation.peer?.id;
  const title = () => app.titleOf(props.conversation);
  const typers = () => app.typing().get(props.conversation.id) ?? [];
  return (
    <div class="top">
      <Show when={narrow()}>
        <button type="button" class="icon back" aria-label={t().back} data-testid="back" onClick={() => go("chats")}>
          <Icon name="back" />
        </button>
      </Show>
      <Avatar id={peer() ?? props.conversation.id} name={title()} online={props.conversation.writable && app.online(peer())} group={props.conversation.group} small />
      <div>
        {/* Alone on the screen it is the page's own heading. */}
        <Dynamic component={narrow() ? "h1" : "h2"} class="title">
          <Apart text={title()} />
        </Dynamic>
        <p data-testid="subtitle" data-typing={typers().length > 0} data-online={props.conversation.writable && app.online(peer())}>
          <Show when={typers().length > 0} fallback={<Subtitle conversation={props.conversation} />}>
            <span class="typing">
              {props.conversation.group ? typingText(app, typers()) : t().typing} <Dots />
            </span>
          </Show>
        </p>
      </div>
      <Chip />
      <button
        type="button"
        class="icon"
        aria-label={t().details}
        title={t().details}
        aria-expanded={props.panel}
        data-testid="details"
        onClick={props.onPanel}
      >
        <Icon name="info" />
      </button>
    </div>
  );
}

function Subtitle(props: { conversation: Conversation }) {
  const app = useApp();
  const presence = use(app.client.presence);
  const text = () => {
    const { group, memberCount, peer, writable } = props.conversation;
    if (group) return t().membersCount(memberCount);
    // Who is no contact any more is not told of either.
    if (!writable) return peer ? `@${peer.name}` : "";
    const now = peer && presence().get(peer.id);
    if (now?.online) return t().online;
    return now && now.lastSeenMs > 0 ? t().lastSeen(moment(now.lastSeenMs)) : peer ? `@${peer.name}` : "";
  };
  return <>{text()}</>;
}

/** The address names a conversation that is not here: not yet, or not any more. */
function Missing() {
  const app = useApp();
  const connection = use(app.client.connection);
  return (
    <div class="chat">
      <div class="top bare">
        <Show when={narrow()}>
          <button type="button" class="icon back" aria-label={t().back} onClick={() => go("chats")}>
            <Icon name="back" />
          </button>
        </Show>
        <div />
        <Chip />
      </div>
      <div class="empty late">
        <Show when={connection().status === "online"} fallback={<Dynamic component={narrow() ? "h1" : "h2"}>{t().connecting}</Dynamic>}>
          <Dynamic component={narrow() ? "h1" : "h2"}>{t().errors.not_a_member}</Dynamic>
          <button type="button" class="primary" onClick={() => go("chats")}>
            {t().chats}
          </button>
        </Show>
      </div>
    </div>
  );
}
