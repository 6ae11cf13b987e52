// The links by which others join a group: for its owner and admins.

import type { Groups, Invite } from "@gogochat/client/groups";
import { createSignal, For, Show } from "solid-js";
import { tg } from "../i18n/groups.ts";
import { moment } from "../format/time.ts";
import { joinLink } from "../state/route.ts";
import { useAction } from "../ui/action.ts";
import { Choice } from "../ui/Choice.tsx";
import { Dialog } from "../ui/Dialog.tsx";
import { Fault } from "../ui/Fault.tsx";
import { Field } from "../ui/Field.tsx";
import { useLoad } from "../ui/load.ts";

export function Invites(props: { conversationId: string; groups: Groups; onClose: () => void }) {
  const { groups, conversationId } = props;
  const [goodFor, setGoodFor] = createSignal("week");
  const [uses, setUses] = createSignal("0");
  const [ending, setEnding] = createSignal("");
  const invites = useLoad(
    () => conversationId,
    (id) => groups.invites(id),
  );
  const make = useAction(async () => {
    await groups.invite(conversationId, TIMES[goodFor()] ?? 0, Number(uses()));
    invites.again();
  });
  const end = useAction(async () => {
    await groups.revoke(conversationId, ending());
    invites.again();
  });
  return (
    <Dialog title={tg().invites} onClose={props.onClose}>
      <p class="hint">{tg().inviteHint}</p>
      <Fault text={end.error() ?? invites.error()} />
      <ul class="people invites">
        <For each={invites.value()}>
          {(invite) => (
            <Line
              invite={invite}
              onEnd={() => {
                setEnding(invite.code);
                void end.run();
              }}
            />
          )}
        </For>
      </ul>
      <form class="stack" onSubmit={make.submit}>
        <Choice
          label={tg().expires}
          value={goodFor()}
          options={{ day: tg().day, week: tg().week }}
          onChange={(next) => void setGoodFor(next)}
          testid="good-for"
        />
        <Field label={tg().uses} name="uses" type="number" value={uses()} onInput={setUses} min="0" max="10000" required hint={tg().usesHint} />
        <Fault text={make.error()} />
        <button type="submit" class="primary" disabled={make.busy()} data-testid="make-invite">
          {tg().newInvite}
        </button>
      </form>
    </Dialog>
  );
}

function Line(props: { invite: Invite; onEnd: () => void }) {
  const [copied, setCopied] = createSignal(false);
  const link = () => joinLink(props.invite.code);
  const copy = async () => {
    // Where the browser refuses, the text can be selected.
    await navigator.clipboard.writeText(link()).then(
      () => setCopied(true),
      () => {},
    );
  };
  return (
    <li class="device" data-testid="invite" data-code={props.invite.code}>
      <div>
        <code>{link()}</code>
        <p>
          {tg().until(moment(props.invite.untilMs))} · {tg().usesLeft(props.invite.usesLeft)}
        </p>
        <Show when={copied()}>
          <p role="status">{tg().copied}</p>
        </Show>
      </div>
      <button type="button" class="soft" data-testid="copy" onClick={() => void copy()}>
        {tg().copy}
      </button>
      <button type="button" class="soft bad" aria-label={`${tg().endLink}: ${props.invite.code.slice(0, 6)}`} data-testid="end-invite" onClick={props.onEnd}>
        {tg().endLink}
      </button>
    </li>
  );
}

const DAY_MS = 24 * 3_600_000;
const TIMES: Readonly<Record<string, number>> = { day: DAY_MS, week: 7 * DAY_MS };
