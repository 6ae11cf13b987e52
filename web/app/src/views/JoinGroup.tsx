// Joining a group: by a link or code that somebody gave, or one that is open to all.

import { Groups, type OpenGroup } from "@gogochat/client/groups";
import { createSignal, For, onMount, Show } from "solid-js";
import { tg } from "../i18n/groups.ts";
import { t } from "../i18n/index.ts";
import { useApp } from "../state/app.ts";
import { go } from "../state/route.ts";
import { Apart } from "../ui/Apart.tsx";
import { Avatar } from "../ui/Avatar.tsx";
import { useAction } from "../ui/action.ts";
import { Dialog } from "../ui/Dialog.tsx";
import { Fault } from "../ui/Fault.tsx";
import { Field } from "../ui/Field.tsx";

export function JoinGroup(props: { code: string; onClose: () => void }) {
  const app = useApp();
  const groups = new Groups(app.auth);
  const [link, setLink] = createSignal(props.code);
  const [found, setFound] = createSignal<OpenGroup>();
  const [open, setOpen] = createSignal<readonly OpenGroup[]>();
  const [next, setNext] = createSignal("");
  /** What stands at the end of a link, or alone. */
  const code = () => /([0-9a-f]{32})\W*$/.exec(link().trim().toLowerCase())?.[1] ?? link().trim();
  const look = useAction(async () => {
    setFound(undefined);
    setFound(await groups.look(code()));
  });
  const more = useAction(async () => {
    const part = await groups.open(next());
    setOpen([...(open() ?? []), ...part.groups]);
    setNext(part.next);
  });
  const [wanted, setWanted] = createSignal<{ group: OpenGroup; byCode: boolean }>();
  const join = useAction(async () => {
    const { group, byCode } = wanted() ?? {};
    if (!group) return;
    if (!group.member) await (byCode ? groups.joinBy(code()) : groups.join(group.id));
    await app.client.joined(group.id);
    props.onClose();
    go("chats", group.id);
  });
  const enter = (group: OpenGroup, byCode: boolean) => {
    setWanted({ group, byCode });
    void join.run();
  };
  onMount(() => {
    if (props.code) void look.run();
    else void more.run();
  });
  const missing = () => (look.code() === "not_found" || look.code() === "invalid_argument" ? tg().noSuchInvite : look.error());
  const line = (group: OpenGroup, byCode: boolean) => (
    <div class="person" data-testid="open-group" data-id={group.id}>
      <Avatar id={group.id} name={group.title} group small />
      <div>
        <b>
          <Apart text={group.title} />
        </b>
        <p>{tg().members(group.memberCount)}</p>
      </div>
      <button type="button" class={byCode ? "primary" : "soft"} disabled={join.busy()} data-testid="join" onClick={() => enter(group, byCode)}>
        {group.member ? tg().open : tg().join}
      </button>
    </div>
  );
  return (
    <Dialog title={t().joinGroup} onClose={props.onClose}>
      <form class="stack" onSubmit={look.submit}>
        <Field label={tg().link} name="link" value={link()} onInput={setLink} hint={tg().linkHint} error={missing()} required autofocus />
        <button type="submit" class="soft" disabled={look.busy()} data-testid="look">
          {tg().look}
        </button>
      </form>
      <Show when={found()}>{(group) => line(group(), true)}</Show>
      <Fault text={join.error() ?? more.error()} />
      <Show when={open()}>
        {(all) => (
          <section aria-label={tg().openGroups}>
            <h3>{tg().openGroups}</h3>
            <Show when={all().length > 0} fallback={<p class="hint">{tg().noOpenGroups}</p>}>
              <ul class="people pick">
                <For each={all()}>{(group) => <li>{line(group, false)}</li>}</For>
              </ul>
            </Show>
            <Show when={next()}>
              <button type="button" class="soft" disabled={more.busy()} onClick={() => void more.run()}>
                {tg().more}
              </button>
            </Show>
          </section>
        )}
      </Show>
    </Dialog>
  );
}
