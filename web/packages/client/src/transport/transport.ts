// What a session needs of its transport. The frames are the same on each.

import type { CloseInfo } from "../errors.ts";
import { delimit, MAX_FRAME } from "../frame.ts";

/** WebTransport (QUIC) or WebSocket (TCP). */
export type TransportKind = "webtransport" | "websocket";

/** What a transport reports. */
export interface TransportEvents {
  /** Frames may be sent from now on. */
  opened(): void;
  /** An encoded server frame, whichever way it came. */
  frame(bytes: Uint8Array): void;
  /** The end, once; not after a `close` of one's own. */
  closed(info: CloseInfo): void;
}

/** A connection that carries frames. */
export interface Transport {
  readonly kind: TransportKind;
  /** Sends an encoded frame in order. */
  send(frame: Uint8Array): void;
  /** Sends an encoded frame that may be lost: as a datagram where there are such. */
  sendLossy(frame: Uint8Array): void;
  /** Sends a call whose reply must not delay live events: on a stream of its own where there are such. */
  sendAside(frame: Uint8Array): void;
  close(code: number, reason: string): void;
}

/** Opens a transport. */
export type Dial = (events: TransportEvents) => Transport;

/** How to open each kind; without `webtransport` only WebSocket is used. */
export interface Dials {
  readonly webtransport?: Dial;
  readonly websocket: Dial;
}

/** Gathers the frames of one turn of the event loop, so that they leave in one write. */
export class Gather {
  #frames: Uint8Array[] = [];
  #bytes = 0;
  readonly #write: (bytes: Uint8Array<ArrayBuffer>) => void;

  constructor(write: (bytes: Uint8Array<ArrayBuffer>) => void) {
    this.#write = write;
  }

  add(frame: Uint8Array): void {
    const delimited = delimit(frame);
    if (this.#bytes + delimited.length > MAX_FRAME) this.flush();
    if (this.#frames.length === 0) queueMicrotask(() => this.flush());
    this.#frames.push(delimited);
    this.#bytes += delimited.length;
  }

  flush(): void {
    if (this.#frames.length === 0) return;
    const out = new Uint8Array(this.#bytes);
    let at = 0;
    for (const frame of this.#frames) {
      out.set(frame, at);
      at += frame.length;
    }
    this.#frames = [];
    this.#bytes = 0;
    this.#write(out);
  }
}
