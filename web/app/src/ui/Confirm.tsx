// Asks before something that cannot be undone.

import { t } from "../i18n/index.ts";
import { useAction } from "./action.ts";
import { Dialog } from "./Dialog.tsx";
import { Fault } from "./Fault.tsx";

export function Confirm(props: { title: string; text: string; action: string; run: () => Promise<void> | void; onClose: () => void }) {
  const action = useAction(async () => {
    await props.run();
    props.onClose();
  });
  return (
    <Dialog title={props.title} onClose={props.onClose} class="small">
      <p>{props.text}</p>
      <Fault text={action.error()} />
      <footer>
        <button type="button" class="soft" onClick={props.onClose} autofocus>
          {t().cancel}
        </button>
        <button type="button" class="primary bad" disabled={action.busy()} data-testid="confirm" onClick={() => void action.run()}>
          {props.action}
        </button>
      </footer>
    </Dialog>
  );
}
