// What was done, the latest first: by all, or what concerns one user.

import type { Admin, AuditEntry, Page } from "@gogochat/client/admin";
import type { Person } from "@gogochat/client";
import { createEffect, createSignal, For, on, Show } from "solid-js";
import { ta } from "../i18n/admin.ts";
import { moment } from "../format/time.ts";
import { useAction } from "../ui/action.ts";
import { Apart } from "../ui/Apart.tsx";
import { Fault } from "../ui/Fault.tsx";

export function AdminAudit(props: { admin: Admin; userId?: string; turn?: number }) {
  const [page, setPage] = createSignal<Page<AuditEntry>>();
  const read = useAction(async () => {
    const before = page();
    const next = await props.admin.audit(props.userId, before?.next);
    setPage({ items: [...(before?.items ?? []), ...next.items], next: next.next });
  });
  // From the beginning, whenever something was done.
  createEffect(
    on(
      () => props.turn,
      () => {
        setPage(undefined);
        void read.run();
      },
    ),
  );
  return (
    <>
      <ul class="audit" data-testid="audit">
        <For each={page()?.items}>
          {(entry) => (
            <li data-act={entry.act}>
              <b>
                <Apart text={sentence(entry)} />
              </b>
              <p>
                {moment(entry.timeMs)}
                {entry.address && ` · ${ta().from(entry.address)}`}
                <Show when={entry.detail}>
                  {" · "}
                  <Apart text={entry.detail} />
                </Show>
              </p>
            </li>
          )}
        </For>
      </ul>
      <Show when={page()?.items.length === 0}>
        <p class="hint">{ta().nothing}</p>
      </Show>
      <Fault text={read.error()} />
      <Show when={page()?.next}>
        <button type="button" class="soft" disabled={read.busy()} data-testid="more-audit" onClick={() => void read.run()}>
          {ta().more}
        </button>
      </Show>
    </>
  );
}

function sentence({ act, actor, subject }: AuditEntry): string {
  const called = (person: Person | undefined) => (person ? `@${person.name || person.id.slice(0, 8)}` : ta().commandLine);
  const say = act && (ta().acts[act] as (who: string, whom: string) => string);
  return say ? say(called(actor), called(subject)) : "";
}
