// What stands where nothing is open: what to do next.

import { Show } from "solid-js";
import { t } from "../i18n/index.ts";
import { useApp } from "../state/app.ts";
import { use } from "../state/bind.ts";
import { go } from "../state/route.ts";
import { Chip } from "../ui/Chip.tsx";
import { focusSearch } from "../ui/focus.ts";
import { Icon } from "../ui/Icon.tsx";

export function Nothing() {
  const app = useApp();
  return (
    <div class="chat">
      <div class="top bare">
        <div />
        <Chip />
      </div>
      <Show when={app.conversations().length > 0} fallback={<FirstStep />}>
        <div class="empty">
          <Icon name="chats" />
          <h2>{t().pickChat}</h2>
          <p>{t().pickChatHint}</p>
        </div>
      </Show>
    </div>
  );
}

/** For somebody without a conversation: find people, or answer those who ask. */
export function FirstStep() {
  const app = useApp();
  const contacts = use(app.client.contacts);
  const asking = () => contacts().filter((contact) => contact.state === "incoming").length;
  return (
    <div class="empty">
      <Icon name={asking() > 0 ? "addPerson" : "chats"} />
      <h2>{asking() > 0 ? t().asking(asking()) : t().noChats}</h2>
      <Show when={asking() === 0}>
        <p>{t().noChatsHint}</p>
      </Show>
      <button type="button" class="primary" data-testid="begin" onClick={() => {
          go("contacts");
          focusSearch();
        }}>
        {asking() > 0 ? t().answer : t().addContact}
      </button>
    </div>
  );
}
