// Writing: Enter sends, Shift+Enter breaks the line, and the Enter of an input method does neither.

import { type Conversation, isVisible, trim } from "@gogochat/client";
import { createEffect, createSignal, on, onCleanup, onMount, Show } from "solid-js";
import { t } from "../i18n/index.ts";
import { useApp } from "../state/app.ts";
import { use } from "../state/bind.ts";
import { drafts, setDraft } from "../state/drafts.ts";
import { narrow } from "../state/route.ts";
import { duration, moment } from "../format/time.ts";
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

  /** Until a mute is over: then it is looked at again. */
  const [now, setNow] = createSignal(Date.now());
  createEffect(() => {
    const left = (props.conversation.mutedUntilMs ?? 0) - now();
    if (left <= 0) return;
    const timer = setTimeout(() => setNow(Date.now()), Math.min(left + 50, LONGEST_TIMER_MS));
    onCleanup(() => clearTimeout(timer));
  });
  /** Why nothing can be written here; undefined: it can. */
  const silenced = () => {
    const { writable, group, role, settings, mutedUntilMs = 0 } = props.conversation;
    if (!writable) return group ? t().dismissed : t().notWritable;
    if (mutedUntilMs > now()) return mutedUntilMs - now() > ALWAYS_MS ? t().mutedAlways : t().mutedUntil(moment(mutedUntilMs));
    return role === "member" && settings?.posting === "admins" ? t().adminsWrite : undefined;
  };
  const slow = () => {
    const { role, settings } = props.conversation;
    return role === "member" && settings && settings.slowModeMs > 0 && !silenced() ? duration(settings.slowModeMs) : undefined;
  };

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
      <Show when={slow()}>
        {(time) => <p class="offline">{t().slowMode(time())}</p>}
      </Show>
      <Show when={!silenced()} fallback={<p class="offline" data-testid="not-writable">{silenced()}</p>}>
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
/** A browser's timers take no more. */
const LONGEST_TIMER_MS = 2_000_000_000;
/** A mute that is longer has no end that anybody waits for. */
const ALWAYS_MS = 365 * 24 * 3_600_000;
