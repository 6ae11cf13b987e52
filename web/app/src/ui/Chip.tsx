// How the connection is, where it is not good. A good one is nobody's concern: Settings has its figures.

import { createMemo } from "solid-js";
import { t } from "../i18n/index.ts";
import { useApp } from "../state/app.ts";
import { use } from "../state/bind.ts";

export function Chip() {
  const connection = use(useApp().client.connection);
  // A short break is bridged: it is shown only when it lasts, by the status "offline".
  const state = createMemo(() => {
    const { status, transport } = connection();
    if (status !== "online") return status === "offline" ? "offline" : "connecting";
    return transport ?? "connecting";
  });
  const rtt = () => connection().rttMs;
  const slow = () => (rtt() ?? 0) > SLOW_MS;
  const good = () => (state() === "webtransport" || state() === "websocket") && !slow();
  const label = () => (state() === "offline" ? t().noConnection : state() === "connecting" ? t().connecting : t().slow);
  return (
    <span
      class="chip"
      classList={{ steady: state() === "connecting" }}
      hidden={good()}
      title={state() === "connecting" ? t().connectingTitle : label()}
      data-testid="transport"
      data-transport={state()}
      data-rtt={rtt() ?? ""}
    >
      <i />
      {label()}
    </span>
  );
}

/** A round trip that a person notices. */
const SLOW_MS = 800;
