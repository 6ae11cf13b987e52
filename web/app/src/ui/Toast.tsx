// One short word at a time, said to screen readers too; it goes by itself.

import { createEffect, createMemo, on, onCleanup, Show } from "solid-js";
import { t } from "../i18n/index.ts";
import { useApp } from "../state/app.ts";
import { use } from "../state/bind.ts";

export function Toast() {
  const app = useApp();
  const connection = use(app.client.connection);
  const switches = createMemo(() => connection().switches);
  createEffect(on(switches, () => app.showToast(t().nothingLost), { defer: true }));
  createEffect(() => {
    if (!app.toast()) return;
    const timer = setTimeout(() => app.showToast(undefined), SHOWN_MS);
    onCleanup(() => clearTimeout(timer));
  });
  return (
    <div class="toasts" role="status" aria-live="polite">
      <Show when={app.toast()}>
        {(toast) => (
          <div class="toast" data-testid="toast">
            <span>{toast().text}</span>
            <button
              type="button"
              onClick={() => {
                const run = toast().action?.run;
                app.showToast(undefined);
                run?.();
              }}
            >
              {toast().action?.label ?? t().ok}
            </button>
          </div>
        )}
      </Show>
    </div>
  );
}

const SHOWN_MS = 8_000;
