// Whom the user blocks, in the settings.

import { blocks, unblock } from "@gogochat/client/blocks";
import { createEffect, createSignal, For, on, Show } from "solid-js";
import { t } from "../i18n/index.ts";
import { useApp } from "../state/app.ts";
import { use } from "../state/bind.ts";
import { useAction } from "../ui/action.ts";
import { Fault } from "../ui/Fault.tsx";
import { useLoad } from "../ui/load.ts";
import { PersonLine } from "./PersonLine.tsx";

export function Blocked() {
  const app = useApp();
  const people = useLoad(() => app.auth, blocks);
  const [ending, setEnding] = createSignal("");
  const end = useAction(() => unblock(app.auth, ending()));
  // By this page or by another device.
  createEffect(on(use(app.client.blocked), () => people.again(), { defer: true }));
  return (
    <section data-testid="blocked">
      <h2 class="part">{t().blocked}</h2>
      <Fault text={end.error() ?? people.error()} />
      <Show when={people.value()?.length === 0}>
        <p class="hint">{t().nobodyBlocked}</p>
      </Show>
      <ul class="people">
        <For each={people.value()}>
          {(person) => (
            <li>
              <PersonLine person={person}>
                <button
                  type="button"
                  class="soft"
                  aria-label={t().unblockOf(person.displayName)}
                  data-testid="unblock"
                  onClick={() => {
                    setEnding(person.id);
                    void end.run();
                  }}
                >
                  {t().unblock}
                </button>
              </PersonLine>
            </li>
          )}
        </For>
      </ul>
    </section>
  );
}
