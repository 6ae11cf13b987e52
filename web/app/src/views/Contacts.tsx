// Finding people, answering requests, the contacts.

import type { Contact, Person } from "@gogochat/client";
import { createMemo, createSignal, For, type JSX, Match, Show, Switch } from "solid-js";
import { t } from "../i18n/index.ts";
import { useApp } from "../state/app.ts";
import { use } from "../state/bind.ts";
import { go } from "../state/route.ts";
import { Apart } from "../ui/Apart.tsx";
import { Avatar } from "../ui/Avatar.tsx";
import { useAction } from "../ui/action.ts";
import { Fault } from "../ui/Fault.tsx";
import { Field } from "../ui/Field.tsx";
import { useLoad } from "../ui/load.ts";
import { SearchField } from "../ui/SearchField.tsx";
import { VirtualRows } from "../ui/VirtualRows.tsx";
import { BlockPerson } from "./BlockPerson.tsx";

export function Contacts() {
  const app = useApp();
  const contacts = use(app.client.contacts);
  const [query, setQuery] = createSignal("");
  const wanted = () => query().trim().toLowerCase();
  const having = (state: Contact["state"]) => createMemo(() => contacts().filter((contact) => contact.state === state));
  const incoming = having("incoming");
  const requested = having("requested");
  const accepted = having("accepted");
  return (
    <>
      <header>
        <div class="head">
          <h1>{t().contacts}</h1>
        </div>
        <SearchField label={t().findPeople} value={query()} onInput={setQuery} name testid="find" />
      </header>
      <div class="rows" data-testid="contacts">
        <Show
          when={wanted() !== ""}
          fallback={
            <div>
              <Section title={t().requests} each={incoming()} size={108}>
                {(contact) => <Request contact={contact} />}
              </Section>
              <Section title={t().waiting} each={requested()} size={70}>
                {(contact) => <Asked contact={contact} />}
              </Section>
              <Section title={t().yourContacts} each={accepted()} size={52}>
                {(contact) => <Accepted contact={contact} />}
              </Section>
              <Show when={contacts().length === 0}>
                <div class="empty">
                  <h2>{t().noContacts}</h2>
                  <p>{t().noContactsHint}</p>
                </div>
              </Show>
            </div>
          }
        >
          <Found query={wanted()} />
        </Show>
      </div>
    </>
  );
}

function Section(props: { title: string; each: readonly Contact[]; size: number; children: (contact: Contact) => JSX.Element }) {
  const byId = createMemo(() => new Map(props.each.map((contact) => [contact.person.id, contact])));
  return (
    <Show when={props.each.length > 0}>
      <h2 class="part">{props.title}</h2>
      <div class="people" role="list">
        <VirtualRows each={[...byId().keys()]} size={props.size}>
          {(id) => (
            <div role="listitem" data-row={id}>
              <Show when={byId().get(id)} keyed>
                {(contact) => props.children(contact)}
              </Show>
            </div>
          )}
        </VirtualRows>
      </div>
    </Show>
  );
}

function Found(props: { query: string }) {
  const app = useApp();
  const contacts = use(app.client.contacts);
  // A moment's rest, so that not every key asks the server.
  const found = useLoad(
    () => (name().length >= 2 ? props.query : undefined),
    async (query) => ({ query, people: (await app.client.findPeople(query)).filter((person) => person.id !== app.client.me.id) }),
    TYPING_MS,
  );
  /** As it stands beside a name, "@ada" asks for the name alone. */
  const name = () => props.query.replace(/^@/, "");
  const fits = (person: Person) =>
    person.name.startsWith(name()) || (name() === props.query && person.displayName.toLowerCase().includes(props.query));
  const known = (person: Person) => contacts().find((contact) => contact.person.id === person.id);
  /** Those who are known here are found by what they call themselves too, and at once. */
  const near = createMemo(() =>
    contacts()
      .flatMap(({ person }) => (fits(person) ? [person] : []))
      .slice(0, MOST),
  );
  const all = createMemo(() => {
    const ids = new Set(near().map(({ id }) => id));
    const last = found.value();
    // Until the next ones come, of the last ones those that fit.
    const others = last?.people.filter((person) => !ids.has(person.id) && (last.query === props.query || fits(person))) ?? [];
    return [...near(), ...others];
  });
  return (
    <>
      <Show when={all().length > 0}>
        <ul class="people">
          <For each={all()}>
            {(person) => (
              <li>
                <Show when={known(person)} fallback={<Ask person={person} />}>
                  {(contact) => (
                    <Switch>
                      <Match when={contact().state === "incoming"}>
                        <Request contact={contact()} />
                      </Match>
                      <Match when={contact().state === "requested"}>
                        <Asked contact={contact()} />
                      </Match>
                      <Match when={contact().state === "accepted"}>
                        <Accepted contact={contact()} />
                      </Match>
                    </Switch>
                  )}
                </Show>
              </li>
            )}
          </For>
        </ul>
      </Show>
      <Switch fallback={<p class="hint late">{t().loading}</p>}>
        <Match when={found.error()}>
          {(error) => (
            <div class="empty" role="alert">
              <p>{error()}</p>
              <button type="button" class="soft" onClick={() => found.again()}>
                {t().retry}
              </button>
            </div>
          )}
        </Match>
        <Match when={all().length > 0}>{null}</Match>
        <Match when={name().length < 2}>
          <p class="hint">{t().findHint}</p>
        </Match>
        <Match when={found.value() && !found.loading()}>
          <p class="hint">{t().nobody}</p>
        </Match>
      </Switch>
    </>
  );
}

function Line(props: { person: Person; note?: string; children?: JSX.Element }) {
  const app = useApp();
  return (
    <div class="person" data-testid="contact" data-name={props.person.name}>
      <Avatar id={props.person.id} name={props.person.displayName} online={app.online(props.person.id)} />
      <div>
        <b>
          <Apart text={props.person.displayName} />
        </b>
        {/* The name that nobody else can have; what somebody writes never stands in its place. */}
        <p>
          <Apart text={`@${props.person.name}`} />
        </p>
        <Show when={props.note}>
          <p class="note">
            <Apart text={props.note ?? ""} />
          </p>
        </Show>
      </div>
      {props.children}
    </div>
  );
}

function Ask(props: { person: Person }) {
  const app = useApp();
  const [open, setOpen] = createSignal(false);
  const [note, setNote] = createSignal("");
  const action = useAction(() => app.client.requestContact(props.person, note().trim()));
  return (
    <>
      <Line person={props.person}>
        <Show when={!open()}>
          <button type="button" class="soft" data-testid="add" onClick={() => setOpen(true)}>
            {t().add}
          </button>
        </Show>
      </Line>
      <Show when={open()}>
        <form class="ask" onSubmit={action.submit}>
          <Field
            label={t().optional(t().note)}
            name="note"
            value={note()}
            onInput={setNote}
            maxLength={200}
            placeholder={t().notePlaceholder}
            error={action.error()}
          />
          <button type="submit" class="primary" disabled={action.busy()} data-testid="ask">
            {t().ask}
          </button>
        </form>
      </Show>
    </>
  );
}

function Request(props: { contact: Contact }) {
  const app = useApp();
  const id = props.contact.person.id;
  const accept = useAction(async () => go("chats", await app.client.acceptContact(id)));
  const refuse = useAction(() => app.client.removeContact(id));
  return (
    <>
      <Line person={props.contact.person} note={props.contact.note} />
      <div class="answers">
        <button type="button" class="primary" disabled={accept.busy()} data-testid="accept" onClick={() => void accept.run()}>
          {t().accept}
        </button>
        <button type="button" class="soft" disabled={refuse.busy()} data-testid="refuse" onClick={() => void refuse.run()}>
          {t().refuse}
        </button>
        <BlockPerson person={props.contact.person} class="soft" />
      </div>
      <Fault text={accept.error() ?? refuse.error()} />
    </>
  );
}

function Asked(props: { contact: Contact }) {
  const app = useApp();
  const withdraw = useAction(() => app.client.removeContact(props.contact.person.id));
  return (
    <>
      <Line person={props.contact.person} note={t().asked}>
        <button type="button" class="soft" disabled={withdraw.busy()} onClick={() => void withdraw.run()}>
          {t().withdraw}
        </button>
      </Line>
      <Fault text={withdraw.error()} />
    </>
  );
}

function Accepted(props: { contact: Contact }) {
  return (
    <button type="button" class="plain" data-testid="open-contact" onClick={() => go("chats", props.contact.conversationId)}>
      <Line person={props.contact.person} />
    </button>
  );
}

const TYPING_MS = 200;
/** Known people among what is found. */
const MOST = 50;
