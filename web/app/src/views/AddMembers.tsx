// Adding contacts to a group.

import type { Person } from "@gogochat/client";
import { createSignal } from "solid-js";
import { t } from "../i18n/index.ts";
import { useApp } from "../state/app.ts";
import { Dialog } from "../ui/Dialog.tsx";
import { useAction } from "../ui/action.ts";
import { Fault } from "../ui/Fault.tsx";
import { PickPeople } from "../ui/PickPeople.tsx";

export function AddMembers(props: { conversationId: string; present: readonly Person[]; onClose: () => void }) {
  const app = useApp();
  const [picked, setPicked] = createSignal<ReadonlySet<string>>(new Set());
  const add = useAction(async () => {
    await app.client.addMembers(props.conversationId, [...picked()]);
    props.onClose();
  });
  return (
    <Dialog title={t().addPeople} onClose={props.onClose}>
      <form class="stack" onSubmit={add.submit}>
        <PickPeople without={props.present} picked={picked()} onPick={setPicked} />
        <Fault text={add.error()} />
        <button type="submit" class="primary" disabled={add.busy() || picked().size === 0} data-testid="add-picked">
          {t().add}
        </button>
      </form>
    </Dialog>
  );
}
