// About the open conversation: the other, or the members of a group.

import type { Conversation, Person } from "@gogochat/client";
import { createMemo, createSignal, onCleanup, Show } from "solid-js";
import { t } from "../i18n/index.ts";
import { useApp } from "../state/app.ts";
import { use } from "../state/bind.ts";
import { go } from "../state/route.ts";
import { Apart } from "../ui/Apart.tsx";
import { Avatar } from "../ui/Avatar.tsx";
import { Confirm } from "../ui/Confirm.tsx";
import { Icon } from "../ui/Icon.tsx";
import { VirtualRows } from "../ui/VirtualRows.tsx";
import { AddMembers } from "./AddMembers.tsx";

export function Panel(props: { conversation: Conversation; onClose: () => void }) {
  // Esc closes what was opened last: this, before the conversation.
  const onKey = (event: KeyboardEvent) => {
    if (event.key !== "Escape" || event.isComposing || document.querySelector("dialog[open]")) return;
    event.preventDefault();
    props.onClose();
  };
  addEventListener("keydown", onKey, true);
  onCleanup(() => removeEventListener("keydown", onKey, true));
  return (
    <aside class="panel" aria-label={t().details} data-testid="panel">
      <header>
        <h2>{t().details}</h2>
        <button type="button" class="icon" aria-label={t().close} onClick={props.onClose}>
          <Icon name="close" />
        </button>
      </header>
      <div class="panel-body">
        <Show when={props.conversation.group} fallback={<Other conversation={props.conversation} />}>
          <Members conversation={props.conversation} onLeft={props.onClose} />
        </Show>
      </div>
    </aside>
  );
}

function Other(props: { conversation: Conversation }) {
  const app = useApp();
  const contacts = use(app.client.contacts);
  const [asking, setAsking] = createSignal(false);
  const peer = () => props.conversation.peer;
  const contact = () => contacts().find((c) => c.person.id === peer()?.id);
  const isContact = () => contact()?.state === "accepted";
  return (
    <Show when={peer()}>
      {(person) => (
        <>
          <PersonLine person={person()} />
          <Show when={contact()?.note}>
            {(note) => (
              <p class="note" data-testid="note">
                {t().note}: <Apart text={note()} />
              </p>
            )}
          </Show>
          <Show when={isContact()}>
            <button type="button" class="danger" onClick={() => setAsking(true)}>
              {t().removeContact}
            </button>
          </Show>
          <Show when={asking()}>
            <Confirm
              title={t().removeContact}
              text={t().removeContactAsk}
              action={t().removeContact}
              run={() => app.client.removeContact(person().id)}
              onClose={() => setAsking(false)}
            />
          </Show>
        </>
      )}
    </Show>
  );
}

function Members(props: { conversation: Conversation; onLeft: () => void }) {
  const app = useApp();
  const id = props.conversation.id;
  const members = use(app.client.members(id));
  const [adding, setAdding] = createSignal(false);
  const [leaving, setLeaving] = createSignal(false);
  const people = createMemo(() => members().map((member) => member.person));
  const byId = createMemo(() => new Map(people().map((person) => [person.id, person])));
  const leave = async () => {
    await app.client.leaveGroup(id);
    go("chats");
  };
  return (
    <>
      <h3>
        {t().groupMembers} <span class="count">{props.conversation.memberCount}</span>
      </h3>
      <div class="actions">
        <button type="button" class="soft" data-testid="add-people" onClick={() => setAdding(true)}>
          <Icon name="addPerson" /> {t().addPeople}
        </button>
      </div>
      <div class="people" role="list">
        <VirtualRows each={people().map((person) => person.id)} size={52}>
          {(id) => (
            <div role="listitem">
              <Show when={byId().get(id)}>{(person) => <PersonLine person={person()} />}</Show>
            </div>
          )}
        </VirtualRows>
      </div>
      <Show when={people().length > 0 && people().length < props.conversation.memberCount}>
        <p class="hint">{t().shownOf(people().length, props.conversation.memberCount)}</p>
      </Show>
      <button type="button" class="danger" data-testid="leave" onClick={() => setLeaving(true)}>
        <Icon name="leave" /> {t().leaveGroup}
      </button>
      <Show when={adding()}>
        <AddMembers conversationId={id} present={people()} onClose={() => setAdding(false)} />
      </Show>
      <Show when={leaving()}>
        <Confirm title={t().leaveGroup} text={t().leaveAsk} action={t().leaveGroup} run={leave} onClose={() => setLeaving(false)} />
      </Show>
    </>
  );
}

/** A person with their name and presence. */
export function PersonLine(props: { person: Person }) {
  const app = useApp();
  return (
    <div class="person" data-testid="person" data-name={props.person.name}>
      <Avatar id={props.person.id} name={props.person.displayName} online={app.online(props.person.id)} small />
      <div>
        <b>
          <Apart text={props.person.displayName} />
        </b>
        <p>@{props.person.name}</p>
        <Show when={props.person.signature}>
          {(signature) => (
            <p class="note" data-testid="signature">
              <Apart text={signature()} />
            </p>
          )}
        </Show>
      </div>
    </div>
  );
}
