// The words of a chosen language could not be loaded: said in the words at hand, with what helps.

import { Show } from "solid-js";
import { t } from "../i18n/index.ts";
import { setLanguage, wordless } from "../state/prefs.ts";

export function Wordless() {
  return (
    <Show when={wordless()}>
      {(chosen) => (
        <p class="notice" role="alert" data-testid="wordless">
          {t().wordsMissing}{" "}
          <button type="button" class="link" onClick={() => void setLanguage(chosen())}>
            {t().retry}
          </button>{" "}
          <button type="button" class="link" onClick={() => location.reload()}>
            {t().reload}
          </button>
        </p>
      )}
    </Show>
  );
}
