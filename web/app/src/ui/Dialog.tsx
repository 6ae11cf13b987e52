// A modal dialog: the browser's own, which keeps the focus inside and closes by Esc.

import { type JSX, onMount } from "solid-js";
import { t } from "../i18n/index.ts";
import { Icon } from "./Icon.tsx";

export function Dialog(props: { title: string; onClose: () => void; children: JSX.Element; class?: string }) {
  let dialog!: HTMLDialogElement;
  onMount(() => {
    dialog.showModal();
    dialog.querySelector<HTMLElement>("[autofocus]")?.focus();
  });
  return (
    <dialog
      ref={dialog}
      class={`dialog ${props.class ?? ""}`}
      aria-label={props.title}
      onClose={() => props.onClose()}
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
