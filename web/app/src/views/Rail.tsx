// The sections of the page.

import type { JSX } from "solid-js";
import { Show } from "solid-js";
import { t } from "../i18n/index.ts";
import { useApp } from "../state/app.ts";
import { use } from "../state/bind.ts";
import { go, narrow, route, type Section } from "../state/route.ts";
import { Avatar } from "../ui/Avatar.tsx";
import { Icon, type IconName } from "../ui/Icon.tsx";

export function Rail(props: { hidden: boolean; onShortcuts: () => void }) {
  const app = useApp();
  const contacts = use(app.client.contacts);
  const connection = use(app.client.connection);
  const requests = () => contacts().filter((contact) => contact.state === "incoming").length;
  const unread = () => app.conversations().some((conversation) => conversation.unread > 0);
  return (
    <nav class="rail" aria-label={t().mainNav} hidden={props.hidden}>
      <Avatar id={app.client.me.id} name={app.me().displayName} online={connection().status === "online"} small />
      <Entry section="chats" icon="chats" label={t().chats}>
        <Show when={unread() && route().section !== "chats"}>
          <i class="dot" />
        </Show>
      </Entry>
      <Entry section="contacts" icon="person" label={t().contacts}>
        <Show when={requests() > 0}>
          <b class="badge" data-testid="requests-count">
            {requests()}
          </b>
        </Show>
      </Entry>
      <Show when={app.administrator()}>
        <Entry section="admin" icon="shield" label={t().administration} />
      </Show>
      <button type="button" class="end wide" aria-label={t().shortcuts} title={`${t().shortcuts} (?)`} onClick={props.onShortcuts}>
        <Icon name="keyboard" />
      </button>
      <Entry section="settings" icon="settings" label={t().settings} />
    </nav>
  );
}

function Entry(props: { section: Section; icon: IconName; label: string; children?: JSX.Element }) {
  const on = () => route().section === props.section;
  return (
    <button
      type="button"
      classList={{ on: on() }}
      aria-current={on() ? "page" : undefined}
      title={props.label}
      data-testid={`nav-${props.section}`}
      onClick={() => go(props.section, narrow() ? undefined : route().conversation)}
    >
      <Icon name={props.icon} />
      {/* In the text, so that whoever hears it hears the count too. */}
      <span class="hidden">{props.label}</span>
      {props.children}
    </button>
  );
}
