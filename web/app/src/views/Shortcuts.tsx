// The keys of the page.

import { For } from "solid-js";
import { t } from "../i18n/index.ts";
import { Dialog } from "../ui/Dialog.tsx";

export function Shortcuts(props: { onClose: () => void }) {
  const command = /Mac|iP/.test(navigator.platform) ? "⌘" : "Ctrl";
  const keys = (): [string[], string][] => [
    [["Enter"], t().shortcutSend],
    [["Shift", "Enter"], t().shortcutBreak],
    [["Esc"], t().shortcutCancel],
    [[command, "K"], t().shortcutJump],
    [["Alt", "↑ ↓"], t().shortcutWalk],
    [["?"], t().shortcutHelp],
  ];
  return (
    <Dialog title={t().shortcuts} onClose={props.onClose} class="small">
      <dl class="keys" data-testid="shortcuts">
        <For each={keys()}>
          {([combination, meaning]) => (
            <div>
              <dt>
                <For each={combination}>{(key) => <kbd>{key}</kbd>}</For>
              </dt>
              <dd>{meaning}</dd>
            </div>
          )}
        </For>
      </dl>
    </Dialog>
  );
}
