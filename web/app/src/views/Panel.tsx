// About the open conversation: the other, or the members of a group.

import type { Conversation } from "@gogochat/client";
import { createSignal, lazy, onCleanup, Show } from "solid-js";
import { t } from "../i18n/index.ts";
import { useApp } from "../state/app.ts";
import { use } from "../state/bind.ts";
import { Apart } from "../ui/Apart.tsx";
import { Confirm } from "../ui/Confirm.tsx";
import { Icon } from "../ui/Icon.tsx";
import { Late } from "../ui/Late.tsx";
import { BlockPerson } from "./BlockPerson.tsx";
import { PersonLine } from "./PersonLine.tsx";

// With what only the details of a group need.
const GroupDetails = lazy(() => import("./GroupDetails.tsx").then(({ GroupDetails }) => ({ default: GroupDetails })));

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
          <Late fallback={<p class="hint late">{t().loading}</p>}>
            <GroupDetails conversation={props.conversation} />
          </Late>
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
            <button type="button" class="danger" data-testid="remove-contact" onClick={() => setAsking(true)}>
              {t().removeContact}
            </button>
          </Show>
          <BlockPerson person={person()} class="danger" />
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
