// The leader's session, as another tab uses it: calls and frames go to the leader, replies come back.

import { create, type DescMessage, fromBinary, type MessageInitShape, type MessageShape, toBinary } from "@bufbuild/protobuf";
import type { Clock } from "../clock.ts";
import { GogochatError } from "../errors.ts";
import { type ClientFrameInit, encodeFrame } from "../frame.ts";
import type { Method } from "../methods.ts";
import { CALL_TIMEOUT_MS, type CallOptions, type Line, lost } from "../session.ts";
import type { TabMessage, Tabs } from "./tabs.ts";

interface Pending {
  readonly resolve: (body: Uint8Array) => void;
  readonly reject: (error: GogochatError) => void;
  readonly cancelTimeout: () => void;
}

/** A line over one session of one leader. */
export class RemoteLine implements Line {
  readonly session: number;
  readonly #tabs: Tabs;
  readonly #clock: Clock;
  readonly #calls = new Map<number, Pending>();
  #open = true;

  constructor(tabs: Tabs, clock: Clock, session: number) {
    this.#tabs = tabs;
    this.#clock = clock;
    this.session = session;
  }

  get open(): boolean {
    return this.#open;
  }

  async call<I extends DescMessage, O extends DescMessage>(
    method: Method<I, O>,
    request: MessageInitShape<I>,
    options: CallOptions = {},
  ): Promise<MessageShape<O>> {
    if (!this.#open) throw lost();
    const id = ++lastCall;
    const body = await new Promise<Uint8Array>((resolve, reject) => {
      // The leader gives up first.
      const cancelTimeout = this.#clock.after(CALL_TIMEOUT_MS + 1_000, () => {
        this.#calls.delete(id);
        reject(new GogochatError("deadline_exceeded", "no reply in time", 500));
      });
      this.#calls.set(id, { resolve, reject, cancelTimeout });
      this.#tabs.post({
        kind: "call",
        from: this.#tabs.id,
        id,
        session: this.session,
        method: method.name,
        key: options.key ?? "",
        aside: options.aside ?? false,
        body: toBinary(method.input, create(method.input, request)),
      });
    });
    return fromBinary(method.output, body);
  }

  send(frame: ClientFrameInit): void {
    if (this.#open) this.#tabs.post({ kind: "frame", bytes: encodeFrame(frame), lossy: false });
  }

  sendLossy(frame: ClientFrameInit): void {
    if (this.#open) this.#tabs.post({ kind: "frame", bytes: encodeFrame(frame), lossy: true });
  }

  /** Takes an answer of the leader's. */
  answered(message: TabMessage & { kind: "reply" | "refusal" }): void {
    const call = this.#calls.get(message.id);
    this.#calls.delete(message.id);
    call?.cancelTimeout();
    if (message.kind === "reply") return call?.resolve(message.body);
    const { code, message: text, retryAfterMs, violations } = message.error;
    call?.reject(new GogochatError(code, text, retryAfterMs, violations));
  }

  /** The session, or its leader, is gone. */
  close(): void {
    this.#open = false;
    for (const { reject, cancelTimeout } of this.#calls.values()) {
      cancelTimeout();
      reject(lost());
    }
    this.#calls.clear();
  }
}

/** Of this tab: a late answer never meets another call. */
let lastCall = 0;
