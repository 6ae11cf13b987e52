// One session: Hello and Welcome, calls and replies, pings. It does no I/O of its own and reads
// time from the clock it is given.

import { create, type DescMessage, fromBinary, type MessageInitShape, type MessageShape, toBinary } from "@bufbuild/protobuf";
import { type Clock, Timer } from "./clock.ts";
import { CloseCode, type CloseInfo, GogochatError } from "./errors.ts";
import { type ClientFrameInit, decodeFrame, encodeFrame, MAX_FRAME } from "./frame.ts";
import type { Event } from "./gen/gogochat/v1/event_pb.ts";
import type { Ephemeral, Resync, Watermark, Welcome } from "./gen/gogochat/v1/realtime_pb.ts";
import type { Method } from "./methods.ts";
import type { Dial, Transport, TransportKind } from "./transport/transport.ts";

/** What a session reports. */
export interface SessionEvents {
  /** The server took us in. */
  welcome(welcome: Welcome): void;
  event(event: Event): void;
  ephemeral(ephemeral: Ephemeral): void;
  watermark(watermark: Watermark): void;
  resync(resync: Resync): void;
  /** The server goes away within so many milliseconds; `target` is another edge's address, or empty. */
  drain(deadlineMs: number, target: string): void;
  /** What to show in the next session's Hello. */
  ticket(ticket: Uint8Array): void;
  /** The round trip was measured. */
  rtt(ms: number): void;
  /** A ping has had no answer for 3 s (true), or something came after all (false). */
  silent(silent: boolean): void;
  /** The end, once; not after a `close` of one's own. */
  closed(info: CloseInfo): void;
}

/** What calls and frames go over: a session of one's own, or that of the tab that leads. */
export interface Line {
  /** Whether calls can be made. */
  readonly open: boolean;
  /**
   * Calls a method. Rejects with the server's error, `deadline_exceeded`, or `connection_lost` when
   * the session ends first.
   */
  call<I extends DescMessage, O extends DescMessage>(
    method: Method<I, O>,
    request: MessageInitShape<I>,
    options?: CallOptions,
  ): Promise<MessageShape<O>>;
  /** Sends a frame that has no reply. */
  send(frame: ClientFrameInit): void;
  /** Sends a frame that may be lost. */
  sendLossy(frame: ClientFrameInit): void;
}

/** How a call travels. */
export interface CallOptions {
  /** For the ordered lane: the conversation. */
  readonly key?: string;
  /** The reply is large and may wait behind live events. */
  readonly aside?: boolean;
}

interface Pending {
  readonly send: () => void;
  readonly resolve: (body: Uint8Array) => void;
  readonly reject: (error: GogochatError) => void;
  readonly cancelTimeout: () => void;
}

/** A session over one transport. When the transport ends, so does the session. */
export class Session implements Line {
  readonly kind: TransportKind;
  readonly #transport: Transport;
  readonly #clock: Clock;
  readonly #events: SessionEvents;
  readonly #client: string;
  readonly #timer: Timer;
  readonly #calls = new Map<number, Pending>();
  readonly #waiting: number[] = [];
  #inFlight = new Set<number>();
  #lastCall = 0;
  #state: "opening" | "greeted" | "open" | "over" = "opening";
  #attentive = true;
  #heartbeatMs = 15_000;
  #lastReceived: number;
  #lastSent: number;
  #probeAt: number | undefined;
  #silent = false;
  #pings = new Map<bigint, number>();
  #lastNonce = 0n;
  #closeFrame: CloseInfo | undefined;

  /** `ticket`: the latest that the server gave, or nothing. */
  constructor(dial: Dial, token: string, ticket: Uint8Array, client: string, clock: Clock, events: SessionEvents) {
    this.#clock = clock;
    this.#events = events;
    this.#client = client;
    this.#timer = new Timer(clock);
    this.#lastReceived = this.#lastSent = clock.now();
    this.#transport = dial({
      opened: () => {
        if (this.#state !== "opening") return;
        this.#state = "greeted";
        this.#send({ case: "hello", value: { accessToken: token, client, ticket, aggregateMarks: true } });
      },
      frame: (bytes) => this.#receive(bytes),
      closed: (info) => this.#end(this.#closeFrame ?? info),
    });
    this.kind = this.#transport.kind;
    this.#timer.set(OPEN_TIMEOUT_MS, () => this.#giveUp("not open in time"));
  }

  get open(): boolean {
    return this.#state === "open";
  }

  /** Whether a ping waits for its answer for too long. */
  get silent(): boolean {
    return this.#silent;
  }

  /**
   * Whether somebody looks: then a quiet connection is asked within 1.2 s, otherwise only at the
   * heartbeat.
   */
  set attentive(attentive: boolean) {
    this.#attentive = attentive;
    if (attentive && this.open) this.ping();
  }

  async call<I extends DescMessage, O extends DescMessage>(
    method: Method<I, O>,
    request: MessageInitShape<I>,
    options: CallOptions = {},
  ): Promise<MessageShape<O>> {
    return fromBinary(method.output, await this.invoke(method.name, toBinary(method.input, create(method.input, request)), options));
  }

  /** A call by the method's name, with encoded messages. */
  invoke(method: string, body: Uint8Array, options: CallOptions = {}): Promise<Uint8Array> {
    if (!this.open) return Promise.reject(lost());
    const id = ++this.#lastCall;
    const bytes = encodeFrame({ case: "call", value: { id, method, key: options.key ?? "", body } });
    // The server would end the session, and so every one after it that repeats the call.
    if (bytes.length > MAX_FRAME) return Promise.reject(new GogochatError("body_too_large", `a frame holds ${MAX_FRAME} bytes`));
    return new Promise((resolve, reject) => {
      const cancelTimeout = this.#clock.after(CALL_TIMEOUT_MS, () => {
        this.#settle(id)?.reject(new GogochatError("deadline_exceeded", "no reply in time", 500));
      });
      this.#calls.set(id, {
        send: () => this.#write(bytes, options.aside ? "aside" : "main"),
        resolve,
        reject,
        cancelTimeout,
      });
      this.#waiting.push(id);
      this.#pump();
    });
  }

  send(frame: ClientFrameInit): void {
    if (this.open) this.#send(frame);
  }

  sendLossy(frame: ClientFrameInit): void {
    if (this.open) this.#send(frame, "lossy");
  }

  /** Sends an encoded frame of another tab. */
  relay(bytes: Uint8Array, lossy: boolean): void {
    if (this.open) this.#write(bytes, lossy ? "lossy" : "main");
  }

  /** Asks for a sign of life; its answer measures the round trip. */
  ping(): void {
    const nonce = ++this.#lastNonce;
    if (this.#pings.size > MAX_PINGS) this.#pings.clear();
    this.#pings.set(nonce, this.#clock.now());
    this.#send({ case: "ping", value: { nonce } });
    this.#probe();
  }

  /**
   * Presents a newer token of the same device, before the server ends the session with the old one.
   * Another Welcome brings its ticket.
   */
  renew(token: string): void {
    if (this.open) this.#send({ case: "hello", value: { accessToken: token, client: this.#client, aggregateMarks: true } });
  }

  /** Ends the session; calls that wait fail with `connection_lost`. */
  close(code: number = CloseCode.Done, reason = "done"): void {
    if (this.#state === "over") return;
    this.#transport.close(code, reason);
    this.#finish();
  }

  #send(frame: ClientFrameInit, way: "main" | "aside" | "lossy" = "main"): void {
    this.#write(encodeFrame(frame), way);
  }

  #write(bytes: Uint8Array, way: "main" | "aside" | "lossy"): void {
    this.#lastSent = this.#clock.now();
    if (way === "aside") this.#transport.sendAside(bytes);
    else if (way === "lossy") this.#transport.sendLossy(bytes);
    else this.#transport.send(bytes);
  }

  #receive(bytes: Uint8Array): void {
    if (this.#state === "over") return;
    let frame: ReturnType<typeof decodeFrame>;
    try {
      frame = decodeFrame(bytes);
    } catch {
      return this.#giveUp("bytes that are no frame");
    }
    this.#lastReceived = this.#clock.now();
    const probed = this.#probeAt !== undefined;
    this.#probeAt = undefined;
    if (this.#silent) {
      this.#silent = false;
      this.#events.silent(false);
    }
    this.#dispatch(frame);
    // The timer stood at the end of the probe; the next one is due sooner.
    if (probed) this.#tick();
  }

  #dispatch(frame: ReturnType<typeof decodeFrame>): void {
    switch (frame.case) {
      case "welcome":
        this.#events.ticket(frame.value.ticket);
        // To a token that was presented anew.
        if (this.#state !== "greeted") return;
        this.#state = "open";
        this.#heartbeatMs = frame.value.heartbeatMs || this.#heartbeatMs;
        this.#events.welcome(frame.value);
        // A first ping at once: the page shows the round trip.
        if (this.open) this.ping();
        return this.#tick();
      case "reply": {
        const { id, body, error } = frame.value;
        const call = this.#settle(id);
        if (error) call?.reject(GogochatError.from(error));
        else call?.resolve(body);
        return;
      }
      case "event":
        return this.#events.event(frame.value);
      case "ephemeral":
        return this.#events.ephemeral(frame.value);
      case "watermark":
        return this.#events.watermark(frame.value);
      case "ping":
        return this.#send({ case: "pong", value: { nonce: frame.value.nonce } });
      case "pong": {
        const sent = this.#pings.get(frame.value.nonce);
        this.#pings.delete(frame.value.nonce);
        if (sent !== undefined) this.#events.rtt(this.#clock.now() - sent);
        return;
      }
      case "resync":
        return this.#events.resync(frame.value);
      case "drain":
        if (frame.value.ticket.length > 0) this.#events.ticket(frame.value.ticket);
        return this.#events.drain(frame.value.deadlineMs, frame.value.target);
      case "close":
        this.#closeFrame = { code: frame.value.code, reason: frame.value.reason, retryAfterMs: frame.value.retryAfterMs };
        // The transport's own end follows; when it does not, this is the end all the same.
        this.#clock.after(CLOSE_GRACE_MS, () => this.#end(this.#closeFrame ?? { code: 0, reason: "" }));
        return;
      default:
        // A kind of frame that a later server has.
        return;
    }
  }

  /** Sends what waits, as far as the server allows calls in flight. */
  #pump(): void {
    while (this.#inFlight.size < MAX_CALLS) {
      const id = this.#waiting.shift();
      if (id === undefined) return;
      const call = this.#calls.get(id);
      if (!call) continue;
      this.#inFlight.add(id);
      call.send();
      this.#probe();
    }
  }

  #settle(id: number): Pending | undefined {
    const call = this.#calls.get(id);
    this.#calls.delete(id);
    call?.cancelTimeout();
    if (this.#inFlight.delete(id)) this.#pump();
    return call;
  }

  /** From here on an answer is due. */
  #probe(): void {
    if (this.#probeAt !== undefined || !this.open) return;
    this.#probeAt = this.#clock.now();
    this.#tick();
  }

  #tick(): void {
    if (!this.open) return;
    const now = this.#clock.now();
    const quietMs = this.#attentive ? QUIET_MS : this.#heartbeatMs;
    if (now - this.#lastReceived >= DEAD_MS) return this.#giveUp("silent");
    if (this.#probeAt === undefined) {
      if (now - this.#lastReceived >= quietMs || now - this.#lastSent >= this.#heartbeatMs) return this.ping();
    } else if (now - this.#probeAt >= SILENT_MS && !this.#silent) {
      this.#silent = true;
      this.#events.silent(true);
      if (!this.open) return;
    }
    const due =
      this.#probeAt === undefined
        ? Math.min(this.#lastReceived + quietMs, this.#lastSent + this.#heartbeatMs)
        : this.#silent
          ? this.#lastReceived + DEAD_MS
          : this.#probeAt + SILENT_MS;
    this.#timer.set(Math.max(due - now, 1), () => this.#tick());
  }

  #giveUp(reason: string): void {
    if (this.#state === "over") return;
    this.#transport.close(0, reason);
    this.#end({ code: 0, reason });
  }

  #end(info: CloseInfo): void {
    if (this.#state === "over") return;
    this.#finish();
    this.#events.closed(info);
  }

  #finish(): void {
    this.#state = "over";
    this.#timer.clear();
    const calls = [...this.#calls.values()];
    this.#calls.clear();
    this.#waiting.length = 0;
    this.#inFlight.clear();
    for (const call of calls) {
      call.cancelTimeout();
      call.reject(lost());
    }
  }
}

/** The failure of a call whose session has ended. */
export function lost(): GogochatError {
  return new GogochatError("connection_lost", "the session ended before the reply", 1);
}

/** From dialling to Welcome. */
const OPEN_TIMEOUT_MS = 10_000;
/** A reply that takes longer is as good as none: the call is made again. */
export const CALL_TIMEOUT_MS = 15_000;
/** Quiet for so long, the other side is asked for a sign of life. */
const QUIET_MS = 1_200;
/** An answer that takes longer: the path may be gone. */
const SILENT_MS = 3_000;
/** Nothing for so long: the session is dead. */
const DEAD_MS = 45_000;
/** Calls in flight; the server allows 256. */
const MAX_CALLS = 128;
const MAX_PINGS = 64;
const CLOSE_GRACE_MS = 500;
