// Calls that outlive a session: they wait for a connection, and are made again where that may help.
// All that are made here may be repeated.

import { create, type DescMessage, type MessageInitShape, type MessageShape } from "@bufbuild/protobuf";
import type { Clock } from "./clock.ts";
import { type ErrorCode, GogochatError } from "./errors.ts";
import type { Method } from "./methods.ts";
import type { CallOptions, Line } from "./session.ts";

/** How a call is made and repeated. */
export interface RepeatOptions extends CallOptions {
  /**
   * What a repeat is refused with when an earlier call, whose outcome was not known, was carried
   * out: then the answer is an empty one.
   */
  readonly done?: ErrorCode;
}

/** Makes calls over whichever session there is. */
export class Calls {
  readonly #clock: Clock;
  readonly #current: () => Line | undefined;
  readonly #random: () => number;
  readonly #waiting = new Set<(session: Line) => void>();

  constructor(clock: Clock, current: () => Line | undefined, random: () => number = Math.random) {
    this.#clock = clock;
    this.#current = current;
    this.#random = random;
  }

  /** There is a session: what waited goes on. */
  connected(session: Line): void {
    for (const resolve of this.#waiting) resolve(session);
    this.#waiting.clear();
  }

  /**
   * Makes a call. Rejects with the server's error, or with `offline` when there is no connection in time.
   * One that carries a clientMsgId is repeated under it for longer: until it comes again, the
   * server holds back what follows it in its lane.
   */
  async call<I extends DescMessage, O extends DescMessage>(
    method: Method<I, O>,
    request: MessageInitShape<I>,
    options?: RepeatOptions,
  ): Promise<MessageShape<O>> {
    const named = method.input.fields.some((field) => field.name === "client_msg_id");
    const deadline = this.#clock.now() + (named ? NAMED_PATIENCE_MS : PATIENCE_MS);
    for (let repeat = false; ; repeat = true) {
      const session = await this.#session(Math.min(deadline, this.#clock.now() + PATIENCE_MS));
      try {
        return await session.call(method, request, options);
      } catch (error) {
        if (repeat && error instanceof GogochatError && error.code === options?.done) return create(method.output);
        const asked = error instanceof GogochatError && error.retryable ? error.retryAfterMs : 0;
        const wait = asked * (1 + JITTER * this.#random());
        if (wait === 0 || this.#clock.now() + wait > deadline) throw error;
        await new Promise<void>((resolve) => this.#clock.after(wait, resolve));
      }
    }
  }

  #session(deadline: number): Promise<Line> {
    const session = this.#current();
    if (session?.open) return Promise.resolve(session);
    return new Promise((resolve, reject) => {
      const cancel = this.#clock.after(deadline - this.#clock.now(), () => {
        this.#waiting.delete(take);
        reject(new GogochatError("offline", "no connection"));
      });
      const take = (next: Line) => {
        cancel();
        resolve(next);
      };
      this.#waiting.add(take);
    });
  }
}

/** How long a call waits for a connection. */
const PATIENCE_MS = 10_000;
/** How long a call with a clientMsgId is repeated. */
const NAMED_PATIENCE_MS = 30_000;
/**
 * The part of a wait that is added to it at most, so that calls which were refused together come
 * again apart.
 */
const JITTER = 0.25;
