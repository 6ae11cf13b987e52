// An in-memory path between a client and a peer: real frames, delays by the clock, and the faults of real paths.

import type { Clock } from "../src/clock.ts";
import type { CloseInfo } from "../src/errors.ts";
import type { Dial, TransportEvents, TransportKind } from "../src/transport/transport.ts";

/** The peer's end of one connection. */
export interface PeerConnection {
  /** A frame of the client. */
  received(frame: Uint8Array): void;
  /** The client is gone. */
  ended(): void;
}

/** What a peer can do with a connection. */
export interface PeerHandle {
  readonly kind: TransportKind;
  send(frame: Uint8Array): void;
  close(info: CloseInfo): void;
}

/** A kind of path: its faults can be switched while connections are open. */
export class Path {
  /** Dialling never ends, and what open connections send is held back, as by streams that repeat what was lost; datagrams are gone. */
  blackhole = false;
  /** Dialling fails at once. */
  refused = false;
  /** One way, milliseconds. */
  latency = 2;
  readonly open = new Set<Wire>();
  dialled = 0;
  readonly kind: TransportKind;
  readonly #clock: Clock;
  readonly #accept: (handle: PeerHandle) => PeerConnection;

  constructor(kind: TransportKind, clock: Clock, accept: (handle: PeerHandle) => PeerConnection) {
    this.kind = kind;
    this.#clock = clock;
    this.#accept = accept;
  }

  /** Cuts every open connection so that both sides see its end. */
  cut(): void {
    for (const wire of [...this.open]) wire.break();
  }

  readonly dial: Dial = (events) => {
    this.dialled++;
    const wire = new Wire(this, this.#clock, events);
    if (this.refused) this.#clock.after(this.latency, () => wire.fail());
    else if (!this.blackhole) this.#clock.after(this.latency, () => wire.connect(this.#accept));
    return wire;
  };
}

class Wire {
  readonly kind: TransportKind;
  readonly #path: Path;
  readonly #clock: Clock;
  readonly #events: TransportEvents;
  readonly #queues = { up: [] as (() => void)[], down: [] as (() => void)[] };
  #peer: PeerConnection | undefined;
  #over = false;

  constructor(path: Path, clock: Clock, events: TransportEvents) {
    this.kind = path.kind;
    this.#path = path;
    this.#clock = clock;
    this.#events = events;
  }

  connect(accept: (handle: PeerHandle) => PeerConnection): void {
    if (this.#over) return;
    this.#path.open.add(this);
    this.#peer = accept({
      kind: this.kind,
      send: (frame) => this.#later("down", () => this.#events.frame(frame.slice())),
      close: (info) =>
        this.#later("down", () => {
          this.#finish();
          this.#events.closed(info);
        }),
    });
    this.#events.opened();
  }

  fail(): void {
    if (this.#over) return;
    this.#finish();
    this.#events.closed({ code: 0, reason: "refused" });
  }

  break(): void {
    if (this.#over) return;
    this.#finish();
    this.#events.closed({ code: 0, reason: "cut" });
  }

  send(frame: Uint8Array): void {
    const copy = frame.slice();
    this.#later("up", () => this.#peer?.received(copy));
  }

  sendLossy(frame: Uint8Array): void {
    if (!this.#path.blackhole) this.send(frame);
  }

  sendAside(frame: Uint8Array): void {
    this.send(frame);
  }

  close(): void {
    if (!this.#over) this.#finish();
  }

  #later(way: "up" | "down", deliver: () => void): void {
    this.#queues[way].push(deliver);
    this.#clock.after(this.#path.latency, () => this.#deliver(way));
  }

  #deliver(way: "up" | "down"): void {
    if (this.#over || this.#queues[way].length === 0) return;
    if (this.#path.blackhole) return void this.#clock.after(REPEAT_MS, () => this.#deliver(way));
    this.#queues[way].shift()?.();
  }

  #finish(): void {
    this.#over = true;
    this.#path.open.delete(this);
    this.#peer?.ended();
  }
}

const REPEAT_MS = 200;
