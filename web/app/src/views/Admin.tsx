// Administration: users on the left, what concerns one of them, the audit log and invitations beside it.

import { Admin, type Page, type User } from "@gogochat/client/admin";
import { createSignal, For, Match, Show, Switch } from "solid-js";
import { Dynamic } from "solid-js/web";
import { ta } from "../i18n/admin.ts";
import { t } from "../i18n/index.ts";
import { useApp } from "../state/app.ts";
import { go, narrow, route } from "../state/route.ts";
import { useAction } from "../ui/action.ts";
import { Apart } from "../ui/Apart.tsx";
import { Avatar } from "../ui/Avatar.tsx";
import { Fault } from "../ui/Fault.tsx";
import { Icon } from "../ui/Icon.tsx";
import { SearchField } from "../ui/SearchField.tsx";
import { useLoad } from "../ui/load.ts";
import { AdminAudit } from "./AdminAudit.tsx";
import { AdminInvite } from "./AdminInvite.tsx";
import { AdminUser, Marks } from "./AdminUser.tsx";
import "../style/admin.css";

/** The users, and the way to the rest. */
export function AdminList() {
  const app = useApp();
  const admin = new Admin(app.auth);
  const [query, setQuery] = createSignal("");
  const [more, setMore] = createSignal<{ readonly query: string; readonly page: Page<User> }>();
  const found = useLoad(
    () => query().trim(),
    (query) => admin.users(query),
    TYPING_MS,
  );
  const rest = () => (more()?.query === query().trim() ? more()?.page : undefined);
  const users = () => [...(found.value()?.items ?? []), ...(rest()?.items ?? [])];
  const next = () => (rest() ?? found.value())?.next ?? "";
  const load = useAction(async () => {
    const asked = query().trim();
    const page = await admin.users(asked, next());
    setMore({ query: asked, page: { items: [...(rest()?.items ?? []), ...page.items], next: page.next } });
  });
  return (
    <>
      <header>
        <div class="head">
          <h1>{t().administration}</h1>
        </div>
        <SearchField label={ta().findUsers} value={query()} onInput={setQuery} name testid="find-user" />
        <div class="actions">
          <Place id="audit" label={ta().auditLog} />
          <Place id="invite" label={ta().invite} />
        </div>
      </header>
      <div class="rows" data-testid="users">
        <h2 class="part">{ta().users}</h2>
        <Fault text={found.error() ?? load.error()} />
        <ul class="people">
          <For each={users()}>
            {(user) => (
              <li>
                <button
                  type="button"
                  class="plain"
                  data-testid="user"
                  data-name={user.person.name}
                  aria-current={route().conversation === user.person.id ? "page" : undefined}
                  onClick={() => go("admin", user.person.id)}
                >
                  <UserLine user={user} />
                </button>
              </li>
            )}
          </For>
        </ul>
        <Show when={found.value() && users().length === 0}>
          <p class="hint">{ta().noUsers}</p>
        </Show>
        <Show when={next() !== ""}>
          <button type="button" class="soft" disabled={load.busy()} onClick={() => void load.run()}>
            {ta().more}
          </button>
        </Show>
      </div>
    </>
  );
}

function Place(props: { id: string; label: string }) {
  return (
    <button
      type="button"
      class="soft"
      data-testid={`admin-${props.id}`}
      aria-current={route().conversation === props.id ? "page" : undefined}
      onClick={() => go("admin", props.id)}
    >
      {props.label}
    </button>
  );
}

function UserLine(props: { user: User }) {
  return (
    <div class="person">
      <Avatar id={props.user.person.id} name={props.user.person.displayName} small />
      <div>
        <b>
          <Apart text={props.user.person.displayName} />
        </b>
        <p>@{props.user.person.name}</p>
      </div>
      <Marks user={props.user} />
    </div>
  );
}

/** What was picked. */
export function AdminMain() {
  const app = useApp();
  const admin = new Admin(app.auth);
  const title = () => ({ audit: ta().auditLog, invite: ta().invite })[route().conversation ?? ""] ?? ta().user;
  return (
    <Show
      when={route().conversation}
      keyed
      fallback={
        <div class="empty">
          <h2>{ta().pickUser}</h2>
          <p>{ta().pickUserHint}</p>
        </div>
      }
    >
      {(id) => (
        <div class="chat admin" data-testid="admin">
          <div class="top">
            <Show when={narrow()}>
              <button type="button" class="icon back" aria-label={t().back} data-testid="back" onClick={() => go("admin")}>
                <Icon name="back" />
              </button>
            </Show>
            <div>
              <Dynamic component={narrow() ? "h1" : "h2"} class="title">
                {title()}
              </Dynamic>
            </div>
          </div>
          {/* By the keyboard it is scrolled once it has the focus: a log has nothing else to go to. */}
          <div class="rows settings" tabindex={0}>
            <Switch fallback={<AdminUser admin={admin} id={id} />}>
              <Match when={id === "audit"}>
                <AdminAudit admin={admin} />
              </Match>
              <Match when={id === "invite"}>
                <AdminInvite admin={admin} />
              </Match>
            </Switch>
          </div>
        </div>
      )}
    </Show>
  );
}

const TYPING_MS = 200;
