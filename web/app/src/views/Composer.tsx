// Writing: Enter sends, Shift+Enter breaks the line, and the Enter of an input method does neither.

import { type Conversation, isVisible, trim } from "@gogochat/client";
import { createEffect, createSignal, on, onCleanup, onMount, Show } from "solid-js";
import { t } from "../i18n/index.ts";
import { useApp } from "../state/app.ts";
import { use } from "../state/bind.ts";
import { drafts, setDraft } from "../state/drafts.ts";
import { narrow } from "../state/route.ts";
import { Icon } from "../ui/Icon.tsx";

export function Composer(props: { conversation: Conversation }) {
  const app = useApp();
  const id = props.conversation.id;
  const connection = use(app.client.connection);
  const waiting = use(app.client.waiting);
  const kept = use(app.client.kept);
  const [text, setText] = createSignal(drafts()[id] ?? "");
  /** Not there where nothing can be written. */
  let area: HTMLTextAreaElement | undefined;
  const over = () => (text().length * 3 > MAX_TEXT ? new TextEncoder().encode(trim(text())).length - MAX_TEXT : 0);
  const sendable = () => isVisible(text()) && over() <= 0;

  const send = () => {
    if (!sendable()) return;
    app.client.send(id, trim(text()));
    change("");
    area?.focus();
  };
  const change = (next: string) => {
    setText(next);
    setDraft(id, next);
    app.client.type(id, isVisible(next));
  };
  const onKeyDown = (event: KeyboardEvent) => {
    // 229: some browsers end a composition with an Enter that claims not to belong to it.
    if (event.isComposing || event.keyCode === 229) return;
    if (event.key === "Enter" && !event.shiftKey && !event.altKey) {
      event.preventDefault();
      send();
    }
  };
  createEffect(
    on(text, () => {
      if (!area) return;
      area.style.height = "auto";
      area.style.height = `${Math.min(area.scrollHeight, MAX_HEIGHT_PX)}px`;
    }),
  );
  // Written on in another tab, or sent there.
  createEffect(
    on(
      () => drafts()[id] ?? "",
      (draft) => draft !== text() && (draft + text()).trim() !== "" && setText(draft),
      { defer: true },
    ),
  );
  onMount(() => !narrow() && area?.focus());
  onCleanup(() => app.client.type(id, false));

  return (
    <div class="comp">
      <Show when={connection().status === "offline"}>
        <p class="offline" role="status" data-testid="offline">
          {kept() ? t().keepsUnsent(waiting()) : t().holdsUnsent(waiting())}
        </p>
      </Show>
      <Show when={over() > 0}>
        <p class="offline bad" role="alert">
          {t().tooLong(over())}
        </p>
      </Show>
      <Show when={props.conversation.writable} fallback={<p class="offline" data-testid="not-writable">{t().notWritable}</p>}>
        <form
          class="box"
          onSubmit={(event) => {
            event.preventDefault();
            send();
          }}
        >
          <textarea
            ref={area}
            rows={1}
            dir="auto"
            value={text()}
            onInput={(event) => change(event.currentTarget.value)}
            onKeyDown={onKeyDown}
            placeholder={t().writeMessage}
            aria-label={t().writeMessage}
            enterkeyhint="send"
            data-testid="composer"
          />
          <button type="submit" class="send" aria-label={t().send} disabled={!sendable()} data-testid="send">
            <Icon name="send" />
          </button>
        </form>
      </Show>
    </div>
  );
}

/** A message's text in bytes of UTF-8. */
const MAX_TEXT = 16_384;
const MAX_HEIGHT_PX = 168;
