// The right side while no conversation is open.

import { Show } from "solid-js";
import { t } from "../i18n/index.ts";
import { useApp } from "../state/app.ts";
import { go } from "../state/route.ts";
import { Chip } from "../ui/Chip.tsx";
import { Icon } from "../ui/Icon.tsx";

export function Nothing() {
  const app = useApp();
  const some = () => app.conversations().length > 0;
  return (
    <div class="chat">
      <div class="top bare">
        <div />
        <Chip />
      </div>
      <div class="empty">
        <Icon name="chats" />
        <h2>{some() ? t().pickChat : t().noChats}</h2>
        <p>{some() ? t().pickChatHint : t().noChatsHint}</p>
        <Show when={!some()}>
          <button type="button" class="primary" onClick={() => go("contacts")}>
            {t().addContact}
          </button>
        </Show>
      </div>
    </div>
  );
}
