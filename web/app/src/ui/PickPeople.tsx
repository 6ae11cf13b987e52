// Choosing some of one's contacts.

import type { Person } from "@gogochat/client";
import { createMemo, createSignal, For, Show } from "solid-js";
import { t } from "../i18n/index.ts";
import { useApp } from "../state/app.ts";
import { use } from "../state/bind.ts";
import { Apart } from "./Apart.tsx";
import { Avatar } from "./Avatar.tsx";

export function PickPeople(props: {
  without?: readonly Person[];
  picked: ReadonlySet<string>;
  onPick: (picked: ReadonlySet<string>) => void;
}) {
  const app = useApp();
  const contacts = use(app.client.contacts);
  const [filter, setFilter] = createSignal("");
  const all = createMemo(() => {
    const without = new Set(props.without?.map((person) => person.id));
    return contacts()
      .filter((contact) => contact.state === "accepted" && !without.has(contact.person.id))
      .map((contact) => contact.person);
  });
  const shown = () => {
    const wanted = filter().trim().toLowerCase();
    return all().filter((p) => p.name.includes(wanted) || p.displayName.toLowerCase().includes(wanted));
  };
  const toggle = (id: string) => {
    const next = new Set(props.picked);
    if (!next.delete(id)) next.add(id);
    props.onPick(next);
  };
  return (
    <Show when={all().length > 0} fallback={<p class="hint">{props.without ? t().nobodyToAdd : t().noContacts}</p>}>
      <Show when={all().length > MANY}>
        <input
          class="filter"
          type="search"
          value={filter()}
          onInput={(event) => setFilter(event.currentTarget.value)}
          placeholder={t().name}
          aria-label={t().name}
        />
      </Show>
      <ul class="people pick">
        <For each={shown()}>
          {(person) => (
            <li>
              <label class="person" data-testid="pick" data-name={person.name}>
                <input type="checkbox" checked={props.picked.has(person.id)} onChange={() => toggle(person.id)} />
                <Avatar id={person.id} name={person.displayName} online={app.online(person.id)} small />
                <div>
                  <b>
                    <Apart text={person.displayName} />
                  </b>
                  <p>@{person.name}</p>
                </div>
              </label>
            </li>
          )}
        </For>
      </ul>
    </Show>
  );
}

const MANY = 8;
