// The conversations, the most recently active first.

import { createMemo, createSignal, Show } from "solid-js";
import { t } from "../i18n/index.ts";
import { useApp } from "../state/app.ts";
import { use } from "../state/bind.ts";
import { goJoin, narrow } from "../state/route.ts";
import { Chip } from "../ui/Chip.tsx";
import { Icon } from "../ui/Icon.tsx";
import { SearchField } from "../ui/SearchField.tsx";
import { RowSkeletons } from "../ui/ShellSkeleton.tsx";
import { VirtualRows } from "../ui/VirtualRows.tsx";
import { ChatRow } from "./ChatRow.tsx";
import { NewGroup } from "./NewGroup.tsx";
import { FirstStep } from "./Nothing.tsx";

export function ChatList() {
  const app = useApp();
  const [filter, setFilter] = createSignal("");
  const [making, setMaking] = createSignal(false);
  const connection = use(app.client.connection);
  const ids = createMemo<readonly string[]>((before) => {
    const wanted = filter().trim().toLowerCase();
    const all = app.conversations();
    const shown = wanted ? all.filter((c) => matches(app.titleOf(c), c.peer?.name ?? "", wanted)) : all;
    // Most of what happens moves nothing.
    return shown.length === before.length && shown.every(({ id }, i) => id === before[i]) ? before : shown.map(({ id }) => id);
  }, []);
  /** Once the server has told of none there are none, also while the connection is made anew. */
  const told = createMemo<boolean>((before) => before || app.conversations().length > 0 || connection().status === "online", false);
  const waiting = () => !told() && connection().status === "connecting";
  return (
    <>
      <header>
        <div class="head">
          <h1>{t().chats}</h1>
          <Show when={narrow()}>
            <Chip />
          </Show>
          <button type="button" class="icon" aria-label={t().joinGroup} title={t().joinGroup} data-testid="join-group" onClick={goJoin}>
            <Icon name="plus" />
          </button>
          <button type="button" class="icon" aria-label={t().newGroup} title={t().newGroup} data-testid="new-group" onClick={() => setMaking(true)}>
            <Icon name="group" />
          </button>
        </div>
        <SearchField label={t().filterChats} value={filter()} onInput={setFilter} />
      </header>
      <div class="rows" role={ids().length > 0 ? "list" : undefined} data-testid="chats">
        <Show
          when={ids().length > 0}
          fallback={
            <Show when={!waiting()} fallback={<RowSkeletons />}>
              <Show when={!filter() && narrow()} fallback={<p class="hint">{filter() ? t().noMatch : t().noChats}</p>}>
                <FirstStep />
              </Show>
            </Show>
          }
        >
          <VirtualRows each={ids()} size={64}>
            {(id) => <Show when={app.conversation(id)}>{(conversation) => <ChatRow conversation={conversation()} />}</Show>}
          </VirtualRows>
        </Show>
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
