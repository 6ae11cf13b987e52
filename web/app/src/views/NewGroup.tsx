// Making a group.

import { createSignal, Show } from "solid-js";
import { t } from "../i18n/index.ts";
import { useApp } from "../state/app.ts";
import { go } from "../state/route.ts";
import { Dialog } from "../ui/Dialog.tsx";
import { codeOf, say } from "../ui/errors.ts";
import { Field } from "../ui/Field.tsx";
import { PickPeople } from "../ui/PickPeople.tsx";

export function NewGroup(props: { onClose: () => void }) {
  const app = useApp();
  const [title, setTitle] = createSignal("");
  const [picked, setPicked] = createSignal<ReadonlySet<string>>(new Set());
  const [busy, setBusy] = createSignal(false);
  const [error, setError] = createSignal<string>();
  const submit = async (event: SubmitEvent) => {
    event.preventDefault();
    setBusy(true);
    setError(undefined);
    try {
      const id = await app.client.createGroup(title().trim(), [...picked()]);
      props.onClose();
      go("chats", id);
    } catch (failure) {
      setError(say(codeOf(failure)));
      setBusy(false);
    }
  };
  return (
    <Dialog title={t().newGroup} onClose={props.onClose}>
      <form class="stack" onSubmit={submit}>
        <Field label={t().groupTitle} name="title" value={title()} onInput={setTitle} required maxLength={64} autofocus />
        <PickPeople picked={picked()} onPick={setPicked} />
        <Show when={error()}>
          <p class="error" role="alert">
            {error()}
          </p>
        </Show>
        <button type="submit" class="primary" disabled={busy() || title().trim() === ""} data-testid="create">
          {t().create}
        </button>
      </form>
    </Dialog>
  );
}
