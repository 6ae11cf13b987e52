// Another edge of the same server, as a draining one names it.

import type { Dials } from "./transport.ts";
import { type WebSocketFactory, webSocket } from "./websocket.ts";
import { hasWebTransport, webTransport } from "./webtransport.ts";

/**
 * How to dial `target`, an edge's "https://host:port", from a server whose WebSocket is at `own`. `undefined`: it is not to be followed, as nothing says that
 * the two belong together. Where both have certificates that the browser takes, that says it; a hash is that of one edge's certificate alone.
 */
export function elsewhere(
  target: string,
  own: URL,
  server: { readonly webtransportUrl: string; readonly certificateHash: string },
  factory: WebSocketFactory,
): Dials | undefined {
  if (!URL.canParse(target)) return undefined;
  const { protocol, host, origin, href } = new URL(target);
  if (protocol !== "https:" || href !== `${origin}/`) return undefined;
  if (own.protocol !== "wss:" || server.certificateHash) return undefined;
  return {
    ...(server.webtransportUrl && hasWebTransport && { webtransport: webTransport(`${origin}/wt`, "") }),
    websocket: webSocket(`wss://${host}/ws`, factory),
  };
}
