// Making a group.

import { isVisible } from "@gogochat/client";
import { createSignal } from "solid-js";
import { t } from "../i18n/index.ts";
import { useApp } from "../state/app.ts";
import { go } from "../state/route.ts";
import { Dialog } from "../ui/Dialog.tsx";
import { useAction } from "../ui/action.ts";
import { Fault } from "../ui/Fault.tsx";
import { Field } from "../ui/Field.tsx";
import { PickPeople } from "../ui/PickPeople.tsx";

export function NewGroup(props: { onClose: () => void }) {
  const app = useApp();
  const [title, setTitle] = createSignal("");
  const [picked, setPicked] = createSignal<ReadonlySet<string>>(new Set());
  const make = useAction(async () => {
    const id = await app.client.createGroup(title().trim(), [...picked()]);
    props.onClose();
    go("chats", id);
  });
  return (
    <Dialog title={t().newGroup} onClose={props.onClose}>
      <form class="stack" onSubmit={make.submit}>
        <Field label={t().groupTitle} name="title" value={title()} onInput={setTitle} required maxLength={64} autofocus />
        <PickPeople picked={picked()} onPick={setPicked} />
        <Fault text={make.error()} />
        <button type="submit" class="primary" disabled={make.busy() || !isVisible(title())} data-testid="create">
          {t().create}
        </button>
      </form>
    </Dialog>
  );
}
