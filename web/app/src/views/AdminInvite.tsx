// A code with which accounts can be registered.

import type { Admin } from "@gogochat/client/admin";
import { createSignal, Show } from "solid-js";
import { ta } from "../i18n/admin.ts";
import { moment } from "../format/time.ts";
import { useAction } from "../ui/action.ts";
import { Fault } from "../ui/Fault.tsx";
import { Field } from "../ui/Field.tsx";
import { Secret } from "../ui/Secret.tsx";

export function AdminInvite(props: { admin: Admin }) {
  const [uses, setUses] = createSignal("1");
  const [made, setMade] = createSignal<{ code: string; untilMs: number }>();
  const make = useAction(async () => {
    setMade(undefined);
    setMade(await props.admin.invite(Number(uses())));
  });
  return (
    <>
      <form class="stack" onSubmit={make.submit}>
        <Field
          label={ta().uses}
          name="uses"
          type="number"
          value={uses()}
          onInput={setUses}
          min="1"
          max="1000"
          required
          hint={ta().usesHint}
          error={make.faulty("uses") ? ta().usesHint : undefined}
        />
        <Fault text={make.faulty("uses") ? undefined : make.error()} />
        <button type="submit" class="primary" disabled={make.busy()} data-testid="make-invitation">
          {ta().makeInvitation}
        </button>
      </form>
      <Show when={made()}>
        {(it) => <Secret text={ta().invitationIs(moment(it().untilMs))} secret={it().code} copy={ta().copy} copied={ta().copied} />}
      </Show>
    </>
  );
}
