// Something that is shown once, to be handed to somebody.

import { createSignal } from "solid-js";
import "../style/secret.css";

export function Secret(props: { text: string; secret: string; copy: string; copied: string }) {
  const [copied, setCopied] = createSignal(false);
  const copy = async () => {
    // Where the browser refuses, the text can be selected.
    await navigator.clipboard.writeText(props.secret).then(
      () => setCopied(true),
      () => {},
    );
  };
  return (
    <section class="secret" role="status">
      <p>{props.text}</p>
      <code data-testid="secret">{props.secret}</code>
      <button type="button" class="soft" onClick={() => void copy()}>
        {copied() ? props.copied : props.copy}
      </button>
    </section>
  );
}
