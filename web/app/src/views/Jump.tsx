// Ctrl/Cmd+K: to a conversation by a few letters of its name.

import { createMemo, createSignal, For, Show } from "solid-js";
import { t } from "../i18n/index.ts";
import { useApp } from "../state/app.ts";
import { go } from "../state/route.ts";
import { Apart } from "../ui/Apart.tsx";
import { Avatar } from "../ui/Avatar.tsx";
import { Dialog } from "../ui/Dialog.tsx";

export function Jump(props: { onClose: () => void }) {
  const app = useApp();
  const [query, setQuery] = createSignal("");
  const [at, setAt] = createSignal(0);
  const found = createMemo(() => {
    const wanted = query().trim().toLowerCase();
    return app
      .conversations()
      .filter((c) => app.titleOf(c).toLowerCase().includes(wanted) || (c.peer?.name ?? "").includes(wanted))
      .slice(0, MOST);
  });
  const pick = (id: string | undefined) => {
    if (!id) return;
    props.onClose();
    go("chats", id);
  };
  const onKeyDown = (event: KeyboardEvent) => {
    if (event.isComposing || event.keyCode === 229) return;
    if (event.key === "Enter") {
      event.preventDefault();
      pick(found()[at()]?.id);
    } else if (event.key === "ArrowDown" || event.key === "ArrowUp") {
      event.preventDefault();
      setAt(Math.max(0, Math.min(found().length - 1, at() + (event.key === "ArrowDown" ? 1 : -1))));
    }
  };
  return (
    <Dialog title={t().jumpTo} onClose={props.onClose} class="jump-to">
      <input
        class="filter"
        type="text"
        role="combobox"
        aria-expanded="true"
        aria-controls="jump-list"
        aria-activedescendant={found()[at()] ? `jump-${at()}` : undefined}
        value={query()}
        onInput={(event) => {
          setQuery(event.currentTarget.value);
          setAt(0);
        }}
        onKeyDown={onKeyDown}
        placeholder={t().filterChats}
        aria-label={t().filterChats}
        autofocus
        data-testid="jump-input"
      />
      <ul id="jump-list" role="listbox" aria-label={t().chats} class="people">
        <For each={found()} fallback={<li class="hint">{t().noMatch}</li>}>
          {(conversation, i) => (
            <li
              id={`jump-${i()}`}
              role="option"
              aria-selected={i() === at()}
              class="person"
              classList={{ on: i() === at() }}
              onClick={() => pick(conversation.id)}
              onPointerMove={() => setAt(i())}
            >
              <Avatar id={conversation.peer?.id ?? conversation.id} name={app.titleOf(conversation)} small />
              <b>
                <Apart text={app.titleOf(conversation)} />
              </b>
              <Show when={conversation.unread > 0}>
                <span class="badge">{conversation.unread}</span>
              </Show>
            </li>
          )}
        </For>
      </ul>
    </Dialog>
  );
}

const MOST = 8;
