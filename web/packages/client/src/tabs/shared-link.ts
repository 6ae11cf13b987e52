// One session for all tabs of a device. The tab that leads has the link; the others call through it
// and hear what it hears.
// The lead goes to another tab when this one is closed or frozen, and to one that a person sees
// when this one is hidden.

import { type Clock, Timer } from "../clock.ts";
import { GogochatError } from "../errors.ts";
import type { Welcome } from "../gen/gogochat/v1/realtime_pb.ts";
import { type ConnectionState, Link, type LinkEvents, type LinkOptions } from "../link.ts";
import { Cell, type Observable } from "../observable.ts";
import type { Line, Session } from "../session.ts";
import { Leadership } from "./leadership.ts";
import { RemoteLine } from "./remote-line.ts";
import type { Deed, TabMessage, Tabs } from "./tabs.ts";

/** What a shared link reports. */
export interface SharedLinkEvents extends Omit<LinkEvents, "up"> {
  /** Calls go to this line from now on. `leading`: it is this tab's own, and this tab sends the outbox. */
  up(line: Line, welcome: Welcome, leading: boolean): void;
  /** This tab is about to lead: resolves when it knows what waits. */
  lead(): Promise<void>;
  /** A person did something in another tab. */
  deed(deed: Deed): void;
}

/** The connection of a device with tabs. Without `tabs` it is alone. */
export class SharedLink {
  readonly state: Observable<ConnectionState>;
  readonly #state = new Cell<ConnectionState>(STOPPED);
  readonly #tabs: Tabs | undefined;
  readonly #clock: Clock;
  readonly #events: SharedLinkEvents;
  readonly #link: Link;
  readonly #leadership: Leadership | undefined;
  /**
   * Ends the wait for a leader that is silent, and that for one that is hidden while a person sees
   * this tab.
   */
  readonly #silence: Timer;
  readonly #hidden: Timer;
  readonly #look: Timer;
  readonly #ends: (() => void)[] = [];
  #running = false;
  #leading = false;
  #visible = true;
  /** Of the own link's sessions. */
  #session = 0;
  #welcome: Welcome | undefined;
  #remote: RemoteLine | undefined;
  #leader = "";

  constructor(tabs: Tabs | undefined, options: LinkOptions, events: SharedLinkEvents) {
    this.state = this.#state;
    this.#tabs = tabs;
    this.#clock = options.clock;
    this.#events = events;
    this.#silence = new Timer(options.clock);
    this.#hidden = new Timer(options.clock);
    this.#look = new Timer(options.clock);
    this.#leadership = tabs && new Leadership(tabs.locks, tabs.lock);
    this.#link = new Link(options, {
      up: (session, welcome) => {
        this.#session++;
        this.#welcome = welcome;
        this.#events.up(session, welcome, true);
        this.#announce();
      },
      down: () => {
        this.#welcome = undefined;
        if (this.#leading) this.#events.down();
        this.#announce();
      },
      event: (event) => this.#hear({ kind: "event", event }),
      ephemeral: (ephemeral) => this.#hear({ kind: "ephemeral", ephemeral }),
      watermark: (watermark) => this.#hear({ kind: "watermark", watermark }),
      resync: (resync) => this.#hear({ kind: "resync", resync }),
      signedOut: () => this.#events.signedOut(),
    });
    this.#link.state.subscribe((state) => {
      if (!this.#leading) return;
      this.#state.set(state);
      this.#announce();
    });
  }

  /** What to call over; undefined while there is no session. */
  get line(): Line | undefined {
    return this.#leading ? this.#link.session : this.#remote;
  }

  /** Whether this tab has the session. */
  get leading(): boolean {
    return this.#leading;
  }

  start(): void {
    if (this.#running) return;
    this.#running = true;
    this.#state.set({ ...STOPPED, status: "connecting" });
    if (!this.#tabs || !this.#leadership) return void this.#lead();
    const leadership = this.#leadership;
    this.#ends.push(
      this.#tabs.listen((message) => this.#receive(message)),
      leadership.leading.subscribe((leading) => void (leading ? this.#lead() : this.#follow())),
      this.#tabs.onFreeze((frozen) => {
        if (frozen) leadership.resign();
        else leadership.queue();
      }),
    );
    leadership.queue();
    this.#ask();
  }

  stop(): void {
    if (!this.#running) return;
    this.#running = false;
    for (const timer of [this.#silence, this.#hidden, this.#look]) timer.clear();
    this.#link.stop();
    this.#loseRemote();
    this.#leadership?.resign();
    this.#leading = false;
    for (const end of this.#ends.splice(0)) end();
    this.#state.set(STOPPED);
  }

  /** The network, or the person, is back: look at once. */
  kick(): void {
    if (this.#leading) return this.#link.kick();
    this.#tabs?.post({ kind: "kick" });
    this.#ask();
  }

  /** Whether somebody looks at this tab. */
  set attentive(visible: boolean) {
    this.#visible = visible;
    this.#link.attentive = visible;
    if (this.#leading) this.#announce();
    else if (visible) this.kick();
    else for (const timer of [this.#silence, this.#look]) timer.clear();
  }

  /** There is a newer access token. */
  renew(token: string): void {
    this.#link.renew(token);
  }

  /** Tells the other tabs what a person did here. */
  tell(deed: Deed): void {
    this.#tabs?.post({ kind: "deed", deed });
    if (!this.#leading && this.#visible) this.#ask();
  }

  async #lead(): Promise<void> {
    if (this.#leading || !this.#running) return;
    this.#leading = true;
    for (const timer of [this.#silence, this.#hidden, this.#look]) timer.clear();
    this.#loseRemote();
    this.#state.set({ ...this.#state.get(), status: "connecting", transport: undefined, rttMs: undefined });
    this.#announce();
    await this.#events.lead();
    if (this.#leading) this.#link.start();
  }

  #follow(): void {
    if (!this.#leading) return;
    this.#link.stop();
    this.#leading = false;
    if (!this.#running) return;
    this.#state.set({ ...this.#state.get(), status: "connecting", transport: undefined, rttMs: undefined });
    this.#ask();
  }

  /** Asks the leader how it stands. One that does not say so in time is gone, as far as a person can tell. */
  #ask(): void {
    if (!this.#running || this.#leading || !this.#tabs) return;
    this.#tabs.post({ kind: "hello" });
    if (!this.#visible) return;
    if (!this.#silence.armed) this.#silence.set(SILENT_MS, () => this.#visible && this.#leadership?.steal());
    this.#look.set(LOOK_MS, () => this.#visible && this.#ask());
  }

  #announce(): void {
    if (!this.#running || !this.#leading || !this.#tabs) return;
    this.#tabs.post({
      kind: "leader",
      from: this.#tabs.id,
      visible: this.#visible,
      state: this.#link.state.get().status === "stopped" ? this.#state.get() : this.#link.state.get(),
      session: this.#link.session?.open ? this.#session : 0,
      welcome: this.#welcome,
    });
  }

  /** Something that the own session brought. */
  #hear(message: TabMessage): void {
    this.#take(message);
    this.#tabs?.post(message);
  }

  #receive(message: TabMessage): void {
    if (!this.#running) return;
    switch (message.kind) {
      case "hello":
        return this.#announce();
      case "leader":
        return this.#leading ? undefined : this.#learn(message);
      case "call":
        return this.#leading ? void this.#answer(message) : undefined;
      case "frame":
        if (this.#leading) this.#link.session?.relay(message.bytes, message.lossy);
        return;
      case "kick":
        return this.#leading ? this.#link.kick() : undefined;
      case "reply":
      case "refusal":
        if (message.to === this.#tabs?.id) this.#remote?.answered(message);
        return;
      case "deed":
        return this.#events.deed(message.deed);
      default:
        // Before it follows a session it would not know what it has missed.
        if (this.#remote) this.#take(message);
    }
  }

  #take(message: TabMessage): void {
    if (message.kind === "event") this.#events.event(message.event);
    else if (message.kind === "ephemeral") this.#events.ephemeral(message.ephemeral);
    else if (message.kind === "watermark") this.#events.watermark(message.watermark);
    else if (message.kind === "resync") this.#events.resync(message.resync);
  }

  #learn({ from, visible, state, session, welcome }: TabMessage & { kind: "leader" }): void {
    this.#silence.clear();
    if (visible) this.#hidden.clear();
    else if (!this.#hidden.armed) this.#hidden.set(HIDDEN_MS, () => this.#visible && this.#leadership?.steal());
    this.#state.set(state);
    if (this.#tabs && welcome && session > 0 && (this.#leader !== from || this.#remote?.session !== session)) {
      this.#loseRemote();
      this.#leader = from;
      this.#remote = new RemoteLine(this.#tabs, this.#clock, session);
      this.#events.up(this.#remote, welcome, false);
    } else if (session === 0) {
      this.#loseRemote();
    }
  }

  #loseRemote(): void {
    const remote = this.#remote;
    if (!remote) return;
    this.#remote = undefined;
    remote.close();
    this.#events.down();
  }

  async #answer({ from, id, session, method, key, aside, body }: TabMessage & { kind: "call" }): Promise<void> {
    const own: Session | undefined = session === this.#session ? this.#link.session : undefined;
    try {
      if (!own) throw new GogochatError("connection_lost", "the session has ended", 1);
      const reply = await own.invoke(method, body, { key, aside });
      this.#tabs?.post({ kind: "reply", to: from, id, body: reply });
    } catch (failure) {
      const error = failure instanceof GogochatError ? failure : new GogochatError("internal", String(failure));
      const { code, message, retryAfterMs, violations } = error;
      this.#tabs?.post({ kind: "refusal", to: from, id, error: { code, message, retryAfterMs, violations } });
    }
  }
}

const STOPPED: ConnectionState = { status: "stopped", transport: undefined, rttMs: undefined, switches: 0 };
/** A leader that does not say how it stands for so long is frozen, or gone without a word. */
const SILENT_MS = 2_500;
/** A hidden leader's timers are slowed down: after this it gives way to a tab that a person sees. */
const HIDDEN_MS = 2_500;
/** How often a tab that a person sees looks after its leader. */
const LOOK_MS = 10_000;
