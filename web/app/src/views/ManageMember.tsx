// What an owner or an admin may do with a member.

import type { Member, Role } from "@gogochat/client";
import type { Groups } from "@gogochat/client/groups";
import { createSignal, Show } from "solid-js";
import { tg } from "../i18n/groups.ts";
import { t } from "../i18n/index.ts";
import { useAction } from "../ui/action.ts";
import { Choice } from "../ui/Choice.tsx";
import { Dialog } from "../ui/Dialog.tsx";
import { Fault } from "../ui/Fault.tsx";
import { PersonLine } from "./PersonLine.tsx";

export function ManageMember(props: { conversationId: string; mine: Role; member: Member; groups: Groups; onClose: () => void }) {
  const { groups, conversationId: group } = props;
  const { person } = props.member;
  const [asked, setAsked] = createSignal<"transfer" | "remove">();
  const [muteFor, setMuteFor] = createSignal("hour");
  let work: () => Promise<unknown> = async () => {};
  const action = useAction(async () => {
    await work();
    props.onClose();
  });
  const run = (next: () => Promise<unknown>) => {
    work = next;
    void action.run();
  };
  const muted = () => props.member.mutedUntilMs > Date.now();
  const isAdmin = () => props.member.role === "admin";
  const sure = () => {
    if (asked() === "remove") run(() => groups.remove(group, [person.id]));
    else run(() => groups.setRole(group, person.id, "owner"));
  };
  const button = (label: string, testid: string, next: () => void, bad = false) => (
    <button type="button" class="soft" classList={{ bad }} disabled={action.busy()} data-testid={testid} onClick={next}>
      {label}
    </button>
  );
  return (
    <Dialog title={person.displayName} onClose={props.onClose} class="small">
      <PersonLine person={person} />
      <Show
        when={!asked()}
        fallback={
          <>
            <p role="alert">{asked() === "remove" ? tg().removeAsk(person.displayName) : tg().transferAsk(person.displayName)}</p>
            <Fault text={action.error()} />
            <footer>
              <button type="button" class="soft" onClick={() => setAsked(undefined)}>
                {t().cancel}
              </button>
              <button type="button" class="primary bad" disabled={action.busy()} data-testid="confirm" onClick={sure}>
                {asked() === "remove" ? tg().remove : tg().transfer}
              </button>
            </footer>
          </>
        }
      >
        <div class="stack" data-testid="member-acts">
          <Show when={!muted()} fallback={button(tg().unmute, "unmute", () => run(() => groups.mute(group, person.id, 0)))}>
            <Choice
              label={tg().muteFor}
              value={muteFor()}
              options={{ hour: tg().hour, day: tg().day, week: tg().week, always: tg().always }}
              onChange={(next) => void setMuteFor(next)}
              testid="mute-for"
            />
            {button(tg().mute, "mute", () => run(() => groups.mute(group, person.id, MUTES[muteFor()] ?? 0)))}
          </Show>
          <Show when={props.mine === "owner"}>
            {button(isAdmin() ? tg().endAdmin : tg().makeAdmin, "toggle-admin", () =>
              run(() => groups.setRole(group, person.id, isAdmin() ? "member" : "admin")),
            )}
            {button(tg().transfer, "transfer", () => setAsked("transfer"))}
          </Show>
          {button(tg().remove, "remove-member", () => setAsked("remove"), true)}
          <Fault text={action.error()} />
        </div>
      </Show>
    </Dialog>
  );
}

const HOUR_MS = 3_600_000;
const MUTES: Readonly<Record<string, number>> = {
  hour: HOUR_MS,
  day: 24 * HOUR_MS,
  week: 7 * 24 * HOUR_MS,
  // As long as there is.
  always: 3_650 * 24 * HOUR_MS,
};
