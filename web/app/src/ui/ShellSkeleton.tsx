// What stands in place of the conversations while their code loads: after 150 ms, and never a spinner.

import { For } from "solid-js";
import { t } from "../i18n/index.ts";

export function ShellSkeleton() {
  return (
    <div class="shell skeleton" role="status" aria-label={t().loading}>
      <div class="rail" />
      <div class="list">
        <RowSkeletons />
      </div>
      <div class="main" />
    </div>
  );
}

/** Rows of a list that are on their way. */
export function RowSkeletons() {
  return (
    <div class="late">
      <For each={[0, 1, 2, 3, 4, 5]}>
        {() => (
          <div class="row ghost">
            <div class="av" />
            <i />
            <i />
          </div>
        )}
      </For>
    </div>
  );
}
