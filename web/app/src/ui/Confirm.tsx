// Asks before something that cannot be undone.

import { createSignal, Show } from "solid-js";
import { t } from "../i18n/index.ts";
import { Dialog } from "./Dialog.tsx";
import { codeOf, say } from "./errors.ts";

export function Confirm(props: { title: string; text: string; action: string; run: () => Promise<void> | void; onClose: () => void }) {
  const [busy, setBusy] = createSignal(false);
  const [error, setError] = createSignal<string>();
  const run = async () => {
    setBusy(true);
    setError(undefined);
    try {
      await props.run();
      props.onClose();
    } catch (failure) {
      setError(say(codeOf(failure)));
      setBusy(false);
    }
  };
  return (
    <Dialog title={props.title} onClose={props.onClose} class="small">
      <p>{props.text}</p>
      <Show when={error()}>
        <p class="error" role="alert">
          {error()}
        </p>
      </Show>
      <footer>
        <button type="button" class="soft" onClick={props.onClose} autofocus>
          {t().cancel}
        </button>
        <button type="button" class="primary bad" disabled={busy()} data-testid="confirm" onClick={() => void run()}>
          {props.action}
        </button>
      </footer>
    </Dialog>
  );
}
