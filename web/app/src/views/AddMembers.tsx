// Adding contacts to a group.

import type { Person } from "@gogochat/client";
import { createSignal, Show } from "solid-js";
import { t } from "../i18n/index.ts";
import { useApp } from "../state/app.ts";
import { Dialog } from "../ui/Dialog.tsx";
import { codeOf, say } from "../ui/errors.ts";
import { PickPeople } from "../ui/PickPeople.tsx";

export function AddMembers(props: { conversationId: string; present: readonly Person[]; onClose: () => void }) {
  const app = useApp();
  const [picked, setPicked] = createSignal<ReadonlySet<string>>(new Set());
  const [busy, setBusy] = createSignal(false);
  const [error, setError] = createSignal<string>();
  const submit = async (event: SubmitEvent) => {
    event.preventDefault();
    setBusy(true);
    setError(undefined);
    try {
      await app.client.addMembers(props.conversationId, [...picked()]);
      props.onClose();
    } catch (failure) {
      setError(say(codeOf(failure)));
      setBusy(false);
    }
  };
  return (
    <Dialog title={t().addPeople} onClose={props.onClose}>
      <form class="stack" onSubmit={submit}>
        <PickPeople without={props.present} picked={picked()} onPick={setPicked} />
        <Show when={error()}>
          <p class="error" role="alert">
            {error()}
          </p>
        </Show>
        <button type="submit" class="primary" disabled={busy() || picked().size === 0} data-testid="add-picked">
          {t().add}
        </button>
      </form>
    </Dialog>
  );
}
