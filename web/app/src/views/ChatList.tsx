// The conversations, the most recently active first.

import { createMemo, createSignal, For, Show } from "solid-js";
import { t } from "../i18n/index.ts";
import { useApp } from "../state/app.ts";
import { use } from "../state/bind.ts";
import { go, narrow } from "../state/route.ts";
import { Chip } from "../ui/Chip.tsx";
import { Icon } from "../ui/Icon.tsx";
import { moveFocus } from "../ui/focus.ts";
import { RowSkeletons } from "../ui/ShellSkeleton.tsx";
import { ChatRow } from "./ChatRow.tsx";
import { NewGroup } from "./NewGroup.tsx";

export function ChatList() {
  const app = useApp();
  const [filter, setFilter] = createSignal("");
  const [making, setMaking] = createSignal(false);
  const connection = use(app.client.connection);
  const ids = createMemo(() => {
    const wanted = filter().trim().toLowerCase();
    const all = app.conversations();
    return (wanted ? all.filter((c) => matches(app.titleOf(c), c.peer?.name ?? "", wanted)) : all).map((c) => c.id);
  });
  const waiting = () => app.conversations().length === 0 && connection().status === "connecting";
  return (
    <>
      <header>
        <div class="head">
          <h1>{t().chats}</h1>
          <Show when={narrow()}>
            <Chip />
          </Show>
          <button type="button" class="icon" aria-label={t().newGroup} title={t().newGroup} data-testid="new-group" onClick={() => setMaking(true)}>
            <Icon name="group" />
          </button>
        </div>
        <label class="search">
          <Icon name="search" />
          <input
            type="search"
            value={filter()}
            onInput={(event) => setFilter(event.currentTarget.value)}
            placeholder={t().filterChats}
            aria-label={t().filterChats}
          />
        </label>
      </header>
      <div class="rows" role="list" onKeyDown={moveFocus} data-testid="chats">
        <For
          each={ids()}
          fallback={
            <Show when={!waiting()} fallback={<RowSkeletons />}>
              <div class="empty">
                <h2>{filter() ? t().noMatch : t().noChats}</h2>
                <Show when={!filter()}>
                  <p>{t().noChatsHint}</p>
                  <button type="button" class="primary" data-testid="begin" onClick={() => go("contacts")}>
                    {t().addContact}
                  </button>
                </Show>
              </div>
            </Show>
          }
        >
          {(id) => <Show when={app.conversation(id)}>{(conversation) => <ChatRow conversation={conversation()} />}</Show>}
        </For>
      </div>
      <Show when={making()}>
        <NewGroup onClose={() => setMaking(false)} />
      </Show>
    </>
  );
}

function matches(title: string, name: string, wanted: string): boolean {
  return title.toLowerCase().includes(wanted) || name.includes(wanted);
}
