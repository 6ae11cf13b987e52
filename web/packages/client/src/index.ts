// The public face: open(...) gives a signed-in device with what it knows and what it can do.

import type { Auth } from "./auth.ts";
import { keyValues } from "./key-values.ts";
import { Client } from "./client.ts";
import { MemoryStorage } from "./storage/memory.ts";
import { openIndexedDb } from "./storage/indexeddb.ts";
import type { Storage } from "./storage/storage.ts";
import { browserTabs } from "./tabs/browser.ts";
import { elsewhere } from "./transport/elsewhere.ts";
import { currentHash } from "./transport/hash.ts";
import { type WebSocketFactory, webSocket } from "./transport/websocket.ts";
import { hasWebTransport, webTransport } from "./transport/webtransport.ts";

export { Auth, type AuthOptions, type SignedIn } from "./auth.ts";
export { type KeyValues, keyValues } from "./key-values.ts";
export { Client, type ClientOptions } from "./client.ts";
export { ERROR_CODES, type ErrorCode, GogochatError, type Violation } from "./errors.ts";
export type { ConnectionState } from "./link.ts";
export type * from "./model.ts";
export type { Observable } from "./observable.ts";
export { openIndexedDb } from "./storage/indexeddb.ts";
export { MemoryStorage } from "./storage/memory.ts";
export type { OutboxEntry, Storage } from "./storage/storage.ts";
export { isVisible, trim } from "./text.ts";
export type { Timeline, TimelineItem, TimelineState } from "./timeline.ts";
export type { Dial, Dials, Transport, TransportEvents, TransportKind } from "./transport/transport.ts";
export { webSocket } from "./transport/websocket.ts";
export { webTransport } from "./transport/webtransport.ts";

/** Where the server is: `GET /client-config.json`. */
export interface ServerConfig {
  /** "https://host:port/wt"; empty: WebSocket alone. */
  readonly webtransportUrl: string;
  /** SHA-256 of the server's certificate, hex, when it is signed by nobody; else empty. */
  readonly certificateHash: string;
  /** "/ws" on the page's own origin, or an absolute ws: or wss: URL. */
  readonly websocketUrl: string;
}

/** What `open` may be given beside the server. */
export interface OpenOptions {
  /** Name and version, for the server's log. */
  readonly name?: string;
  /** Default: IndexedDB, or memory where there is none. */
  readonly storage?: Storage;
  /** Default: the browser's. */
  readonly WebSocket?: WebSocketFactory;
  /**
   * Asks where the server is once more. A certificate that is known by its hash is replaced every
   * few days: with this the new hash
   * is known before WebTransport is dialled again, without it a page has to be loaded anew.
   */
  readonly again?: () => Promise<ServerConfig>;
}

/** Opens the signed-in device of `auth` against a server. */
export async function open(auth: Auth, server: ServerConfig, options: OpenOptions = {}): Promise<Client> {
  const userId = auth.signedIn.get()?.user.id ?? "";
  const storage = options.storage ?? (typeof indexedDB === "object" ? await openIndexedDb(userId) : new MemoryStorage());
  const factory = options.WebSocket ?? (globalThis.WebSocket as WebSocketFactory | undefined);
  if (!factory) throw new TypeError("there is no WebSocket here (Node has one from version 22 on): give options.WebSocket");
  const here = globalThis.location?.href;
  if (!URL.canParse(server.websocketUrl, here)) {
    throw new TypeError(`server.websocketUrl is "${server.websocketUrl}": outside of a page it has to be absolute, as wss://HOST/ws`);
  }
  const url = new URL(server.websocketUrl, here);
  url.protocol = url.protocol.replace("http", "ws");
  const tab = keyValues(() => globalThis.sessionStorage);
  const client = await Client.open({
    auth,
    storage,
    // A storage of the caller's own is for this page alone.
    tabs: options.storage ? undefined : browserTabs(auth.signedIn.get()?.deviceId ?? ""),
    doubtful: tab.getItem(NO_UDP) === "1",
    ...(options.name && { name: options.name }),
    dials: {
      ...(server.webtransportUrl &&
        hasWebTransport && { webtransport: webTransport(server.webtransportUrl, currentHash(server.certificateHash, options.again)) }),
      websocket: webSocket(url.href, factory),
    },
    elsewhere: (target) => elsewhere(target, url, server, factory),
  });
  client.connection.subscribe(({ transport }) => {
    if (transport === "websocket") tab.setItem(NO_UDP, "1");
    else if (transport === "webtransport") tab.removeItem(NO_UDP);
  });
  return client;
}

/** In this tab's storage: the last session had to do without UDP. */
const NO_UDP = "gogochat.no-udp";
