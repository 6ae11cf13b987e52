// Who is typing and who is connected: never stored, and forgotten when it is not repeated.

import type { Clock } from "./clock.ts";
import { Timer } from "./clock.ts";
import type { Ephemeral } from "./gen/gogochat/v1/realtime_pb.ts";
import type { Presence } from "./model.ts";
import { Cell, type Observable } from "./observable.ts";
import type { Line } from "./session.ts";

/** Typing and presence. */
export class Whereabouts {
  /** Conversation id -> the others who are typing there. */
  readonly typing: Observable<ReadonlyMap<string, readonly string[]>>;
  /** User id -> whether they are connected; contacts alone. */
  readonly presence: Observable<ReadonlyMap<string, Presence>>;
  readonly #typing = new Cell<ReadonlyMap<string, readonly string[]>>(new Map());
  readonly #presence = new Cell<ReadonlyMap<string, Presence>>(new Map());
  readonly #arrived = new Map<string, Presence>();
  readonly #lapses = new Map<string, Timer>();
  readonly #clock: Clock;
  readonly #me: string;
  #said: { conversationId: string; at: number } | undefined;

  constructor(clock: Clock, me: string) {
    this.#clock = clock;
    this.#me = me;
    this.typing = this.#typing;
    this.presence = this.#presence;
  }

  receive({ conversationId, userId, kind }: Ephemeral): void {
    if (userId === this.#me) return;
    if (kind.case === "presence") {
      this.present(userId, { online: kind.value.online, lastSeenMs: Number(kind.value.lastSeenMs) });
      if (!kind.value.online) for (const id of this.#typing.get().keys()) this.stopped(id, userId);
    } else if (kind.case === "typing") {
      if (kind.value.stopped) return this.stopped(conversationId, userId);
      this.#lapse(conversationId, userId).set(TYPING_MS, () => this.stopped(conversationId, userId));
      const typers = this.#typing.get().get(conversationId) ?? [];
      if (!typers.includes(userId)) this.#setTyping(conversationId, [...typers, userId]);
    }
  }

  /** Somebody has stopped typing, or has sent it. */
  stopped(conversationId: string, userId: string): void {
    const typers = this.#typing.get().get(conversationId);
    if (!typers?.includes(userId)) return;
    this.#lapse(conversationId, userId).clear();
    this.#setTyping(conversationId, typers.filter((id) => id !== userId));
  }

  /** Many of these in one turn are one change. */
  present(userId: string, presence: Presence): void {
    if (this.#arrived.size === 0) queueMicrotask(() => this.#presentAll());
    this.#arrived.set(userId, presence);
  }

  /** Somebody is a contact no more: nothing is known of them. */
  part(userId: string): void {
    this.#arrived.delete(userId);
    if (!this.#presence.get().has(userId)) return;
    const presence = new Map(this.#presence.get());
    presence.delete(userId);
    this.#presence.set(presence);
  }

  #presentAll(): void {
    const presence = new Map(this.#presence.get());
    for (const [id, now] of this.#arrived) presence.set(id, now);
    this.#arrived.clear();
    this.#presence.set(presence);
  }

  /** Without a connection nobody is known to be anywhere. */
  forget(): void {
    for (const timer of this.#lapses.values()) timer.clear();
    this.#lapses.clear();
    this.#arrived.clear();
    this.#typing.set(new Map());
    this.#presence.set(new Map());
  }

  /** A message of this user's own is on its way: it says by itself that they have stopped typing. */
  wrote(conversationId: string): void {
    if (this.#said?.conversationId === conversationId) this.#said = undefined;
  }

  /** Says that this user is typing, every 3 s at most, or has stopped, if others were told that they type. */
  say(session: Line | undefined, conversationId: string, typing: boolean): void {
    if (!session) return;
    const now = this.#clock.now();
    const going = this.#said?.conversationId === conversationId && now - this.#said.at < TYPING_MS;
    if (typing && going && now - (this.#said?.at ?? 0) < REPEAT_MS) return;
    if (!typing && !going) return;
    this.#said = typing ? { conversationId, at: now } : undefined;
    session.sendLossy({
      case: "ephemeral",
      value: { conversationId, kind: { case: "typing", value: { stopped: !typing } } },
    });
  }

  #setTyping(conversationId: string, typers: readonly string[]): void {
    const typing = new Map(this.#typing.get());
    if (typers.length > 0) typing.set(conversationId, typers);
    else typing.delete(conversationId);
    this.#typing.set(typing);
  }

  #lapse(conversationId: string, userId: string): Timer {
    const key = `${conversationId} ${userId}`;
    let timer = this.#lapses.get(key);
    if (!timer) this.#lapses.set(key, (timer = new Timer(this.#clock)));
    return timer;
  }
}

/** Typing lapses after this unless repeated. */
const TYPING_MS = 6_000;
const REPEAT_MS = 3_000;
