// Blocking somebody, after asking; or ending that.

import type { Person } from "@gogochat/client";
import { block, unblock } from "@gogochat/client/blocks";
import { createSignal, Show } from "solid-js";
import { t } from "../i18n/index.ts";
import { useApp } from "../state/app.ts";
import { useAction } from "../ui/action.ts";
import { Confirm } from "../ui/Confirm.tsx";
import { Fault } from "../ui/Fault.tsx";

export function BlockPerson(props: { person: Person; class: string }) {
  const app = useApp();
  const [asking, setAsking] = createSignal(false);
  const end = useAction(() => unblock(app.auth, props.person.id));
  return (
    <Show
      when={!app.blocks(props.person.id)}
      fallback={
        <>
          <p class="hint">{t().blockedPerson}</p>
          <button type="button" class={props.class} disabled={end.busy()} data-testid="unblock" onClick={() => void end.run()}>
            {t().unblock}
          </button>
          <Fault text={end.error()} />
        </>
      }
    >
      <button type="button" class={props.class} data-testid="block" onClick={() => setAsking(true)}>
        {t().block}
      </button>
      <Show when={asking()}>
        <Confirm
          title={t().block}
          text={t().blockAsk(props.person.displayName)}
          action={t().block}
          run={() => block(app.auth, props.person.id)}
          onClose={() => setAsking(false)}
        />
      </Show>
    </Show>
  );
}
