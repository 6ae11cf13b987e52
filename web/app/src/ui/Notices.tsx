// What a person should know of the page itself, for as long as it holds: the browser keeps nothing,
// or there is a newer page.

import { Show } from "solid-js";
import { t } from "../i18n/index.ts";
import { useApp } from "../state/app.ts";
import { use } from "../state/bind.ts";
import { outdated } from "../state/version.ts";
import { Wordless } from "./Wordless.tsx";

export function Notices() {
  const app = useApp();
  const kept = use(app.client.kept);
  return (
    <div class="notices" role="status">
      <Show when={!kept() || !app.auth.kept}>
        <p class="notice steady" data-testid="not-kept">
          {t().notKept}
        </p>
      </Show>
      <Show when={outdated()}>
        <p class="notice" data-testid="outdated">
          {t().newVersion}{" "}
          <button type="button" class="link" onClick={() => location.reload()} data-testid="reload">
            {t().reload}
          </button>
        </p>
      </Show>
      <Wordless />
    </div>
  );
}
