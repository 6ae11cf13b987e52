// A modal dialog: the browser's own, which keeps the focus inside and closes by Esc.

import { type JSX, onCleanup, onMount } from "solid-js";
import { Portal } from "solid-js/web";
import { t } from "../i18n/index.ts";
import { Icon } from "./Icon.tsx";

interface DialogProps {
  title: string;
  onClose: () => void;
  children: JSX.Element;
  class?: string;
}

/** Beside the panes: one that is hidden for want of room would hide the dialog, which holds all else back. */
export function Dialog(props: DialogProps) {
  return (
    <Portal>
      <Frame {...props} />
    </Portal>
  );
}

function Frame(props: DialogProps) {
  let dialog!: HTMLDialogElement;
  onMount(() => {
    dialog.showModal();
    dialog.querySelector<HTMLElement>("[autofocus]")?.focus();
  });
  // Closed by the browser it gives the focus back to who had it; taken away it would leave it to nobody.
  let gone = false;
  onCleanup(() => {
    gone = true;
    dialog.close();
  });
  return (
    <dialog
      ref={dialog}
      class={`dialog ${props.class ?? ""}`}
      aria-label={props.title}
      onClose={() => gone || props.onClose()}
      onClick={(event) => event.target === dialog && dialog.close()}
    >
      <div class="dialog-body">
        <header>
          <h2>{props.title}</h2>
          <button type="button" class="icon" aria-label={t().close} onClick={() => dialog.close()}>
            <Icon name="close" />
          </button>
        </header>
        {props.children}
      </div>
    </dialog>
  );
}
