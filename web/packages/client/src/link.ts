// Keeps one session alive: WebTransport first, WebSocket when that does not open or goes silent,
// and quietly back.
// A session is replaced before it is given up wherever that is possible, so that a change of
// transport costs nothing but a round trip.

import { Backoff, type Clock, Timer } from "./clock.ts";
import { CloseCode, type CloseInfo, GogochatError } from "./errors.ts";
import type { Welcome } from "./gen/gogochat/v1/realtime_pb.ts";
import { Cell, type Observable } from "./observable.ts";
import { Session, type SessionEvents } from "./session.ts";
import type { Dials, TransportKind } from "./transport/transport.ts";

/** How the device is connected. */
export interface ConnectionState {
  readonly status: "connecting" | "online" | "offline" | "stopped";
  readonly transport: TransportKind | undefined;
  /** The last measured round trip, milliseconds. */
  readonly rttMs: number | undefined;
  /** How often a broken transport was replaced by the other kind. */
  readonly switches: number;
}

/** What a link needs. */
export interface LinkOptions {
  readonly dials: Dials;
  /**
   * How to open each kind at another edge that a draining one has named; `undefined`: it is not to
   * be followed.
   */
  elsewhere?(target: string): Dials | undefined;
  /**
   * A valid access token; `rejected` is one that the server would not take. Rejects with
   * `signed_out` when there is none to be had.
   */
  token(rejected?: string): Promise<string>;
  /** WebTransport did not open lately: WebSocket need not wait so long for it. */
  readonly doubtful?: boolean;
  /** Name and version, for the server's log. */
  readonly client: string;
  readonly clock: Clock;
  readonly random?: () => number;
}

/** What a link reports: all that its sessions do, and their coming and going. */
export interface LinkEvents extends Pick<SessionEvents, "event" | "ephemeral" | "watermark" | "resync"> {
  /** Calls go to this session from now on. */
  up(session: Session, welcome: Welcome): void;
  /** There is no session. */
  down(): void;
  /** The server does not know this device any more. */
  signedOut(): void;
}

interface Race {
  readonly quiet: boolean;
  readonly dials: Dials;
  /** What follows when a quiet one fails; else the next upgrade is planned. */
  readonly otherwise: (() => void) | undefined;
  readonly sessions: Set<Session>;
  readonly timers: Timer[];
  /** Attempts that have not ended. */
  left: number;
}

/** The connection of a signed-in device. */
export class Link {
  readonly state: Observable<ConnectionState>;
  readonly #state = new Cell<ConnectionState>({
    status: "stopped",
    transport: undefined,
    rttMs: undefined,
    switches: 0,
  });
  readonly #options: LinkOptions;
  readonly #events: LinkEvents;
  readonly #backoff: Backoff;
  readonly #upgradeBackoff: Backoff;
  readonly #retry: Timer;
  readonly #upgrade: Timer;
  readonly #drain: Timer;
  #current: Session | undefined;
  /** Replaced ones that may still bring replies. */
  readonly #lingering = new Set<Session>();
  /** The newest access token. */
  #token = "";
  #ticket = new Uint8Array(0);
  #openedAt = 0;
  /** How many tokens in a row the server would not take. */
  #refused = 0;
  /** Until then the server wants to be left alone. */
  #quietUntil = 0;
  #lastKind: TransportKind | undefined;
  #race: Race | undefined;
  #webTransportFailed: boolean;
  #attentive = true;
  #running = false;

  constructor(options: LinkOptions, events: LinkEvents) {
    this.state = this.#state;
    this.#options = options;
    this.#events = events;
    const random = options.random ?? Math.random;
    this.#webTransportFailed = options.doubtful ?? false;
    this.#backoff = new Backoff(RETRY_FIRST_MS, RETRY_MOST_MS, random);
    this.#upgradeBackoff = new Backoff(UPGRADE_FIRST_MS, UPGRADE_MOST_MS, random);
    this.#retry = new Timer(options.clock);
    this.#upgrade = new Timer(options.clock);
    this.#drain = new Timer(options.clock);
  }

  /** The session to call. */
  get session(): Session | undefined {
    return this.#current;
  }

  start(): void {
    if (this.#running) return;
    this.#running = true;
    this.#set({ status: "connecting" });
    this.#connect();
  }

  stop(): void {
    if (!this.#running) return;
    this.#running = false;
    for (const timer of [this.#retry, this.#upgrade, this.#drain]) timer.clear();
    this.#endRace();
    this.#current?.close();
    this.#current = undefined;
    for (const session of this.#lingering) session.close();
    this.#lingering.clear();
    this.#set({ status: "stopped", transport: undefined, rttMs: undefined });
    this.#events.down();
  }

  /** The network, or the person, is back: look at once. */
  kick(): void {
    if (!this.#running) return;
    if (this.#current) this.#current.ping();
    else if (!this.#race) this.#connect();
  }

  /** Whether somebody looks at the page. */
  set attentive(attentive: boolean) {
    this.#attentive = attentive;
    if (this.#current) this.#current.attentive = attentive;
    if (attentive) this.kick();
  }

  /** There is a newer access token: the session goes on with it. */
  renew(token: string): void {
    if (token === this.#token) return;
    this.#token = token;
    this.#current?.renew(token);
  }

  #connect(): void {
    this.#retry.clear();
    if (!this.#options.dials.webtransport) return this.#start(false, [["websocket", 0]]);
    this.#start(false, [
      ["webtransport", 0],
      ["websocket", this.#webTransportFailed ? HEAD_START_AGAIN_MS : HEAD_START_MS],
    ]);
  }

  /**
   * Starts the kinds after their delays; a kind that fails starts the next at once. The first
   * session to be welcomed wins.
   */
  #start(quiet: boolean, plan: [TransportKind, number][], dials = this.#options.dials, otherwise?: () => void): void {
    const before = this.#race;
    if (before) {
      if (quiet && !otherwise) return;
      this.#endRace();
    }
    const race: Race = { quiet, dials, otherwise, sessions: new Set(), timers: [], left: plan.length };
    this.#race = race;
    for (const [kind, delay] of plan) {
      const timer = new Timer(this.#options.clock);
      race.timers.push(timer);
      if (delay > 0) timer.set(delay, () => void this.#attempt(race, kind));
      else void this.#attempt(race, kind);
    }
    this.#pending.set(race, plan.filter(([, delay]) => delay > 0).map(([kind]) => kind));
    // A drain that this came between goes on, should nothing come of it.
    if (!quiet) before?.otherwise?.();
  }

  /** Kinds of a race that wait for their delay. */
  readonly #pending = new WeakMap<Race, TransportKind[]>();

  async #attempt(race: Race, kind: TransportKind): Promise<void> {
    const pending = this.#pending.get(race);
    const at = pending?.indexOf(kind) ?? -1;
    if (at >= 0) pending?.splice(at, 1);
    const dial = race.dials[kind];
    let token: string;
    try {
      token = await this.#options.token();
    } catch (error) {
      if (this.#race !== race) return;
      if (error instanceof GogochatError && error.code === "signed_out") return this.#signOut();
      return this.#failed(race, kind);
    }
    if (this.#race !== race || !dial) return;
    this.#token = token;
    let session: Session;
    const events: SessionEvents = {
      welcome: (welcome) => this.#welcomed(race, session, token, welcome),
      event: (event) => this.#events.event(event),
      ephemeral: (ephemeral) => this.#events.ephemeral(ephemeral),
      watermark: (watermark) => this.#events.watermark(watermark),
      resync: (resync) => this.#events.resync(resync),
      drain: (deadlineMs, target) => this.#drained(session, deadlineMs, target),
      ticket: (ticket) => {
        this.#ticket = Uint8Array.from(ticket);
      },
      rtt: (ms) => session === this.#current && this.#set({ rttMs: Math.max(1, Math.round(ms)) }),
      silent: (silent) => this.#silent(session, silent),
      closed: (info) => this.#closed(race, session, token, info),
    };
    try {
      session = new Session(dial, token, this.#ticket, this.#options.client, this.#options.clock, events);
    } catch {
      // A browser may refuse to dial at all: the address, or an option that it does not know.
      return this.#failed(race, kind);
    }
    race.sessions.add(session);
  }

  #welcomed(race: Race, session: Session, token: string, welcome: Welcome): void {
    if (this.#race !== race) return session.close();
    race.sessions.delete(session);
    this.#endRace();
    this.#retry.clear();
    this.#refused = 0;
    const old = this.#current;
    const forced = !race.quiet;
    this.#current = session;
    this.#openedAt = this.#options.clock.now();
    session.attentive = this.#attentive;
    this.#drain.clear();
    if (session.kind === "webtransport") this.#webTransportFailed = false;
    const switched = forced && this.#lastKind !== undefined && this.#lastKind !== session.kind;
    this.#lastKind = session.kind;
    this.#set({
      status: "online",
      transport: session.kind,
      rttMs: undefined,
      switches: this.#state.get().switches + (switched ? 1 : 0),
    });
    // A newer one came while this one was on its way.
    if (token !== this.#token) session.renew(this.#token);
    this.#events.up(session, welcome);
    // Replies to the calls of the old session may still be on their way; what it brings twice is
    // applied once.
    if (old?.silent) old.close();
    else if (old) this.#linger(old);
    this.#planUpgrade();
  }

  #linger(session: Session): void {
    this.#lingering.add(session);
    this.#options.clock.after(LINGER_MS, () => {
      this.#lingering.delete(session);
      session.close();
    });
  }

  #closed(race: Race, session: Session, token: string, info: CloseInfo): void {
    const wasCurrent = session === this.#current;
    const wasTrying = race.sessions.delete(session) && race === this.#race;
    if (!wasCurrent && !wasTrying) return;
    if (info.code === CloseCode.SignedOut) return this.#signOut();
    if (info.code === CloseCode.TokenInvalid || info.code === CloseCode.TokenExpired) {
      if (wasCurrent) this.#lose();
      return this.#refresh(token);
    }
    if (TOO_MUCH.includes(info.code)) this.#quietUntil = Math.max(this.#quietUntil, this.#options.clock.now() + TOO_MUCH_MS);
    if (info.retryAfterMs) this.#quietUntil = Math.max(this.#quietUntil, this.#options.clock.now() + info.retryAfterMs);
    if (wasTrying && (info.retryAfterMs || TOO_MUCH.includes(info.code)) && !this.#current) {
      // The server has answered: over the other transport it would say the same.
      this.#endRace();
      this.#set({ status: "offline", transport: undefined, rttMs: undefined });
      return this.#retry.set(this.#pause(), () => this.#connect());
    }
    if (wasTrying) return this.#failed(race, session.kind);
    this.#judge();
    this.#lose();
    // One that was to take its place goes on; a drain's, which tries one transport alone, not for long.
    if (this.#race?.otherwise) return this.#retry.set(HEAD_START_MS + this.#pause(), () => this.#connect());
    if (this.#race && !this.#race.quiet) return;
    this.#endRace();
    // The first try comes almost at once, but not from all clients of a server at the same moment.
    this.#retry.set(this.#pause(), () => this.#connect());
  }

  /** The server would not take this token. */
  #refresh(token: string): void {
    this.#endRace();
    this.#refused++;
    this.#options.token(token).then(
      () => {
        if (!this.#running || this.#race || this.#retry.armed) return;
        // The first was stale; a fresh one that is refused too says that the server has a trouble of its own.
        if (this.#refused > 1) this.#retry.set(this.#pause(), () => this.#connect());
        else this.#connect();
      },
      (error) => {
        if (!this.#running) return;
        if (error instanceof GogochatError && error.code === "signed_out") this.#signOut();
        else this.#retry.set(this.#pause(), () => this.#connect());
      },
    );
  }

  #failed(race: Race, kind: TransportKind): void {
    if (kind === "webtransport" && race.dials === this.#options.dials) this.#webTransportFailed = true;
    race.left--;
    const next = this.#pending.get(race)?.[0];
    if (next) {
      for (const timer of race.timers) timer.clear();
      return void this.#attempt(race, next);
    }
    if (race.left > 0) return;
    this.#endRace();
    if (race.quiet && this.#current) return race.otherwise ? race.otherwise() : this.#planUpgrade();
    if (!this.#current) this.#set({ status: "offline", transport: undefined, rttMs: undefined });
    this.#retry.set(this.#pause(), () => (this.#current ? this.#replace() : this.#connect()));
  }

  /** An unanswered ping: the other transport is started beside this one, and the first to answer wins. */
  #silent(session: Session, silent: boolean): void {
    if (session !== this.#current) return;
    if (silent) {
      this.#judge();
      return this.#replace();
    }
    this.#retry.clear();
    if (this.#race && !this.#race.quiet) this.#endRace();
  }

  #replace(): void {
    if (!this.#current?.silent) return;
    const { webtransport } = this.#options.dials;
    if (this.#current.kind === "webtransport") {
      this.#start(false, [
        ["websocket", 0],
        ["webtransport", 1_000],
      ]);
    } else {
      this.#start(false, webtransport ? [["webtransport", 0], ["websocket", 500]] : [["websocket", 0]]);
    }
  }

  /**
   * The server goes away: another session is opened beside this one, at the edge that it names,
   * else at the own address, and that again and again. All of its
   * clients are told at once, so each begins at a moment of its own in the deadline's first quarter.
   */
  #drained(session: Session, deadlineMs: number, target: string): void {
    if (session !== this.#current || this.#drain.armed) return;
    const random = this.#options.random ?? Math.random;
    const elsewhere = target ? this.#options.elsewhere?.(target) : undefined;
    const current = () => session === this.#current;
    // A path that went silent is bridged first, over the other transport: that leads away from the
    // server as well.
    const bridging = () => this.#race !== undefined && !this.#race.quiet;
    const here = () => {
      if (!current()) return;
      if (bridging()) return again();
      this.#start(true, [[session.kind, 0]], this.#options.dials, again);
    };
    const again = () => {
      if (current()) this.#drain.set(this.#asked() + DRAIN_AGAIN_MS * (0.5 + random()), here);
    };
    const there = () => {
      if (!current()) return;
      if (bridging()) return again();
      if (!elsewhere?.[session.kind]) return here();
      this.#start(true, [[session.kind, 0]], elsewhere, here);
      // One that does not answer is not waited for to the end.
      this.#drain.set(Math.max(deadlineMs / 4, DRAIN_PATIENCE_MS), () => this.#race?.dials === elsewhere && here());
    };
    this.#drain.set((deadlineMs / 4) * random(), there);
  }

  #planUpgrade(): void {
    const { webtransport } = this.#options.dials;
    if (!webtransport || !this.#current || this.#current.kind === "webtransport") return this.#upgrade.clear();
    this.#upgrade.set(this.#upgradeBackoff.next(), () => {
      if (this.#race) this.#planUpgrade();
      else this.#start(true, [["webtransport", 0]]);
    });
  }

  /** Before the next try: what the server has asked for, and a random time on top. */
  #pause(): number {
    return this.#asked() + this.#backoff.next();
  }

  /** For how long the server still wants to be left alone. */
  #asked(): number {
    return Math.max(0, this.#quietUntil - this.#options.clock.now());
  }

  /** A session that lasted earns its successor short waiting times; one that broke at once does not. */
  #judge(): void {
    if (this.#options.clock.now() - this.#openedAt < STABLE_MS) return;
    this.#backoff.reset();
    if (this.#current?.kind === "webtransport") this.#upgradeBackoff.reset();
  }

  #lose(): void {
    this.#current = undefined;
    this.#upgrade.clear();
    this.#drain.clear();
    this.#set({ status: "connecting", transport: undefined, rttMs: undefined });
    this.#events.down();
  }

  #signOut(): void {
    this.stop();
    this.#events.signedOut();
  }

  #endRace(): void {
    const race = this.#race;
    this.#race = undefined;
    for (const timer of race?.timers ?? []) timer.clear();
    for (const session of race?.sessions ?? []) session.close();
  }

  #set(change: Partial<ConnectionState>): void {
    this.#state.set({ ...this.#state.get(), ...change });
  }
}

/**
 * The client did too much at once (docs/errors.md): it stays away for a while, whatever it has at
 * its hands.
 */
const TOO_MUCH: readonly number[] = [CloseCode.TooManyStreams, CloseCode.TooManyCalls, CloseCode.RateLimited];
const TOO_MUCH_MS = 1_000;
/** What WebTransport has before WebSocket is tried beside it. */
const HEAD_START_MS = 3_000;
/** The same when it did not open a moment ago. */
const HEAD_START_AGAIN_MS = 800;
const RETRY_FIRST_MS = 300;
const RETRY_MOST_MS = 20_000;
/** On WebSocket, how soon and how seldom WebTransport is tried again. */
const UPGRADE_FIRST_MS = 8_000;
const UPGRADE_MOST_MS = 300_000;
/** A connection that lasted so long was a good one. */
const STABLE_MS = 30_000;
/** How long a replaced session may still bring replies. */
const LINGER_MS = 3_000;
/** What the edge that a draining one has named has to welcome us, at least. */
const DRAIN_PATIENCE_MS = 1_000;
/** Between tries at the own address, half of it more or less. */
const DRAIN_AGAIN_MS = 1_000;
