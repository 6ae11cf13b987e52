// The details of a group: its notice, its members with what they are, and what may be done with it.

import type { Conversation, Member } from "@gogochat/client";
import { Groups } from "@gogochat/client/groups";
import { createMemo, createSignal, Match, onMount, Show, Switch } from "solid-js";
import { tg } from "../i18n/groups.ts";
import { t } from "../i18n/index.ts";
import { useApp } from "../state/app.ts";
import { use } from "../state/bind.ts";
import { go } from "../state/route.ts";
import { Apart } from "../ui/Apart.tsx";
import { Confirm } from "../ui/Confirm.tsx";
import { Icon } from "../ui/Icon.tsx";
import { VirtualRows } from "../ui/VirtualRows.tsx";
import { AddMembers } from "./AddMembers.tsx";
import { EditGroup } from "./EditGroup.tsx";
import { Invites } from "./Invites.tsx";
import { ManageMember } from "./ManageMember.tsx";
import { PersonLine } from "./PersonLine.tsx";

type Opened = "add" | "edit" | "invites" | "leave" | "dismiss" | undefined;

export function GroupDetails(props: { conversation: Conversation }) {
  const app = useApp();
  const id = props.conversation.id;
  const groups = new Groups(app.auth);
  const members = use(app.client.members(id));
  const [opened, setOpened] = createSignal<Opened>();
  const [managed, setManaged] = createSignal<string>();
  const close = () => setOpened(undefined);
  const role = () => props.conversation.role ?? "member";
  const rules = () => role() !== "member" && props.conversation.writable;
  const byId = createMemo(() => new Map(members().map((member) => [member.person.id, member])));
  /** Who rules stands above. */
  const inOrder = createMemo(() => [...members()].sort((a, b) => RANK[a.role] - RANK[b.role]).map(({ person }) => person.id));
  const mayManage = (member: Member) =>
    rules() && member.person.id !== app.client.me.id && RANK[role()] < RANK[member.role];
  // Lists leave the notice out.
  onMount(() => app.client.details(id));
  const leave = async () => {
    await app.client.leaveGroup(id);
    go("chats");
  };
  return (
    <>
      <h3>
        <Apart text={props.conversation.title} />
      </h3>
      <Show when={props.conversation.notice}>
        {(notice) => (
          <section class="notice-text" aria-label={tg().notice}>
            <h4>{tg().notice}</h4>
            <p class="note" dir="auto" data-testid="notice">
              {notice()}
            </p>
          </section>
        )}
      </Show>
      <Show when={rules()}>
        <div class="actions">
          <button type="button" class="soft" data-testid="edit-group" onClick={() => setOpened("edit")}>
            {tg().editGroup}
          </button>
          <button type="button" class="soft" data-testid="invites" onClick={() => setOpened("invites")}>
            {tg().invites}
          </button>
        </div>
      </Show>
      <h3>
        {t().groupMembers} <span class="count">{props.conversation.memberCount}</span>
      </h3>
      <Show when={props.conversation.writable}>
        <div class="actions">
          <button type="button" class="soft" data-testid="add-people" onClick={() => setOpened("add")}>
            <Icon name="addPerson" /> {t().addPeople}
          </button>
        </div>
      </Show>
      <div class="people" role="list">
        <VirtualRows each={inOrder()} size={52}>
          {(id) => (
            <div role="listitem" data-row={id}>
              <Show when={byId().get(id)}>
                {(member) => (
                  <Show when={mayManage(member())} fallback={<Line member={member()} />}>
                    <button
                      type="button"
                      class="plain"
                      aria-label={tg().manage(member().person.displayName)}
                      data-testid="manage"
                      data-name={member().person.name}
                      onClick={() => setManaged(id)}
                    >
                      <Line member={member()} />
                    </button>
                  </Show>
                )}
              </Show>
            </div>
          )}
        </VirtualRows>
      </div>
      <Show when={members().length > 0 && members().length < props.conversation.memberCount}>
        <p class="hint">{t().shownOf(members().length, props.conversation.memberCount)}</p>
      </Show>
      <button type="button" class="danger" data-testid="leave" onClick={() => setOpened("leave")}>
        <Icon name="leave" /> {t().leaveGroup}
      </button>
      <Show when={role() === "owner" && props.conversation.writable}>
        <button type="button" class="danger" data-testid="dismiss" onClick={() => setOpened("dismiss")}>
          {tg().dismiss}
        </button>
      </Show>
      <Switch>
        <Match when={opened() === "add"}>
          <AddMembers conversationId={id} present={members().map(({ person }) => person)} onClose={close} />
        </Match>
        <Match when={opened() === "edit"}>
          <EditGroup conversation={props.conversation} groups={groups} onClose={close} />
        </Match>
        <Match when={opened() === "invites"}>
          <Invites conversationId={id} groups={groups} onClose={close} />
        </Match>
        <Match when={opened() === "leave"}>
          <Confirm
            title={t().leaveGroup}
            text={role() === "owner" && props.conversation.writable ? `${t().leaveAsk} ${tg().leaveOwnerAsk}` : t().leaveAsk}
            action={t().leaveGroup}
            run={leave}
            onClose={close}
          />
        </Match>
        <Match when={opened() === "dismiss"}>
          <Confirm title={tg().dismiss} text={tg().dismissAsk} action={tg().dismiss} run={() => groups.dismiss(id)} onClose={close} />
        </Match>
        <Match when={byId().get(managed() ?? "")}>
          {(member) => (
            <ManageMember conversationId={id} mine={role()} member={member()} groups={groups} onClose={() => setManaged(undefined)} />
          )}
        </Match>
      </Switch>
    </>
  );
}

function Line(props: { member: Member }) {
  const label = () => ({ owner: tg().owner, admin: tg().admin, member: "" })[props.member.role];
  return (
    <PersonLine person={props.member.person}>
      <span class="marks" data-testid="marks">
        <Show when={label()}>
          <span>{label()}</span>
        </Show>
        <Show when={props.member.mutedUntilMs > Date.now()}>
          <span class="bad">{tg().muted}</span>
        </Show>
      </span>
    </PersonLine>
  );
}

const RANK = { owner: 0, admin: 1, member: 2 };
