// The transport in use and its round trip.

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
  const label = () => {
    const by = state();
    if (by === "webtransport") return t().quic;
    if (by === "websocket") return location.protocol === "https:" ? t().wss : t().ws;
    return by === "offline" ? t().noConnection : t().connecting;
  };
  const title = () => {
    const by = state();
    if (by === "webtransport") return t().quicTitle;
    return by === "websocket" ? t().wsTitle : t().connectingTitle;
  };
  const rtt = () => connection().rttMs;
  return (
    <span
      class="chip"
      title={title()}
      data-testid="transport"
      data-transport={state()}
      data-rtt={rtt() ?? ""}
      role="img"
      aria-label={`${title()}: ${label()}${rtt() === undefined ? "" : ` ${rtt()} ms`}`}
    >
      <i />
      {label()}
      <span class="rtt">{rtt() === undefined ? "" : `${rtt()} ms`}</span>
    </span>
  );
}
