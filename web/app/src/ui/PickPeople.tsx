// Choosing some of one's contacts.

import type { Person } from "@gogochat/client";
import { createMemo, createSignal, Show } from "solid-js";
import { t } from "../i18n/index.ts";
import { useApp } from "../state/app.ts";
import { use } from "../state/bind.ts";
import { Apart } from "./Apart.tsx";
import { Avatar } from "./Avatar.tsx";
import { VirtualRows } from "./VirtualRows.tsx";

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
  const byId = createMemo(() => new Map(all().map((person) => [person.id, person])));
  const shown = createMemo(() => {
    const wanted = filter().trim().toLowerCase();
    return all().flatMap((p) => (p.name.includes(wanted) || p.displayName.toLowerCase().includes(wanted) ? [p.id] : []));
  });
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
      <div class="people pick" role="list">
        <VirtualRows each={shown()} size={52}>
          {(id) => (
            <div role="listitem">
              <Show when={byId().get(id)}>
                {(person) => (
                  <label class="person" data-testid="pick" data-name={person().name}>
                    <input type="checkbox" data-row={id} checked={props.picked.has(id)} onChange={() => toggle(id)} />
                    <Avatar id={id} name={person().displayName} online={app.online(id)} small />
                    <div>
                      <b>
                        <Apart text={person().displayName} />
                      </b>
                      <p>@{person().name}</p>
                    </div>
                  </label>
                )}
              </Show>
            </div>
          )}
        </VirtualRows>
      </div>
    </Show>
  );
}

const MANY = 8;
