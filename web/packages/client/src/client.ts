// A signed-in device: the connection, what the device knows, what it sends. The page binds to the
// observables and calls the verbs.

import type { Auth } from "./auth.ts";
import { Calls } from "./calls.ts";
import { type Clock, systemClock, Timer } from "./clock.ts";
import { Whereabouts } from "./ephemeral.ts";
import { GogochatError } from "./errors.ts";
import type { Event } from "./gen/gogochat/v1/event_pb.ts";
import type { Welcome } from "./gen/gogochat/v1/realtime_pb.ts";
import { newId } from "./ids.ts";
import type { ConnectionState } from "./link.ts";
import { Loader } from "./loader.ts";
import { Marks } from "./marks.ts";
import * as methods from "./methods.ts";
import {
  type Contact,
  type Conversation,
  type LogEvent,
  type Member,
  type News,
  type Person,
  type Presence,
  toContactState,
  toEvent,
  toPerson,
} from "./model.ts";
import { Lazy, type Observable } from "./observable.ts";
import { Outbox } from "./outbox.ts";
import { Replica } from "./replica.ts";
import type { Line } from "./session.ts";
import type { Storage } from "./storage/storage.ts";
import { OwnLog, synchronize } from "./sync.ts";
import { SharedLink } from "./tabs/shared-link.ts";
import type { Deed, Tabs } from "./tabs/tabs.ts";
import type { Timeline } from "./timeline.ts";
import type { Dials } from "./transport/transport.ts";

/** What a client needs. */
export interface ClientOptions {
  readonly auth: Auth;
  readonly dials: Dials;
  /**
   * How to open each kind at another edge that a draining one has named; `undefined`: it is not to
   * be followed.
   */
  readonly elsewhere?: (target: string) => Dials | undefined;
  readonly storage: Storage;
  /** How the tabs in which this device is open meet; without, this one is alone. */
  readonly tabs?: Tabs | undefined;
  /** WebTransport did not open lately: WebSocket need not wait so long for it. */
  readonly doubtful?: boolean;
  /** Name and version, for the server's log. */
  readonly name?: string;
  readonly clock?: Clock;
}

/** A signed-in device. */
export class Client {
  readonly me: Person;
  readonly deviceId: string;
  readonly connection: Observable<ConnectionState>;
  /** The most recently active first. */
  readonly conversations: Observable<readonly Conversation[]>;
  readonly contacts: Observable<readonly Contact[]>;
  readonly people: Observable<ReadonlyMap<string, Person>>;
  /** The ids of those whom this user blocks. */
  readonly blocked: Observable<ReadonlySet<string>>;
  /** Conversation id -> the others who are typing there. */
  readonly typing: Observable<ReadonlyMap<string, readonly string[]>>;
  readonly presence: Observable<ReadonlyMap<string, Presence>>;
  /** Messages that are not known to be committed, failed ones left out. */
  readonly waiting: Observable<number>;
  /**
   * Whether what waits is kept beyond this page: the browser may refuse that, and then it is lost
   * when the device's last page is closed.
   */
  readonly kept: Observable<boolean>;
  readonly #auth: Auth;
  readonly #clock: Clock;
  readonly #storage: Storage;
  readonly #calls: Calls;
  readonly #loader: Loader;
  readonly #link: SharedLink;
  readonly #replica: Replica;
  readonly #own: OwnLog;
  readonly #outbox: Outbox;
  readonly #marks: Marks;
  readonly #whereabouts: Whereabouts;
  readonly #renewal: Timer;
  readonly #resync: Timer;
  readonly #watchers = new Set<(conversation: Conversation, event: LogEvent, missed: boolean) => void>();
  readonly #newsWatchers = new Set<(news: News, missed: boolean) => void>();
  readonly #waiting: Lazy<number>;
  readonly #unsubscribe: () => void;
  #open = new Set<string>();
  /** Conversation id -> the last of what this device has sent there: the read mark moves with it, whatever was seen. */
  readonly #sentTo = new Map<string, number>();
  #ownSeqNow = 0;
  /** When the last session ended; undefined before the first. */
  #downSince: number | undefined;
  /** What comes now was missed while away for long: it is counted, and not announced. */
  #missing = true;

  /** Loads what the device has kept and starts to connect. */
  static async open(options: ClientOptions): Promise<Client> {
    const client = new Client(options, await options.storage.load());
    client.#link.start();
    return client;
  }

  private constructor(options: ClientOptions, kept: Awaited<ReturnType<Storage["load"]>>) {
    const signedIn = options.auth.signedIn.get();
    if (!signedIn) throw new GogochatError("signed_out", "not signed in");
    this.me = signedIn.user;
    this.deviceId = signedIn.deviceId;
    this.#auth = options.auth;
    this.#storage = options.storage;
    const clock = options.clock ?? systemClock;
    this.#clock = clock;
    this.#renewal = new Timer(clock);
    this.#resync = new Timer(clock);
    this.#marks = new Marks(clock);
    this.#whereabouts = new Whereabouts(clock, this.me.id);
    this.#calls = new Calls(clock, () => this.#link.line);
    this.#loader = new Loader({
      calls: this.#calls,
      clock,
      storage: options.storage,
      whereabouts: this.#whereabouts,
      me: this.me.id,
      replica: () => this.#replica,
    });
    this.#outbox = new Outbox(
      options.storage,
      clock,
      {
        changed: (id) => {
          this.#replica.touchTimeline(id);
          this.#waiting.touch();
        },
        acknowledged: (entry, seq, timeMs) =>
          this.#receive({
            logId: entry.conversationId,
            seq,
            timeMs,
            senderId: this.me.id,
            deviceId: this.deviceId,
            clientMsgId: entry.clientMsgId,
            body: { kind: "message", text: entry.text },
          }),
        tell: (change) => this.#link.tell({ kind: "outbox", change }),
      },
      kept.outbox,
    );
    this.waiting = this.#waiting = new Lazy<number>(() => this.#outbox.size);
    this.#replica = new Replica(
      {
        storage: options.storage,
        clock,
        me: this.me.id,
        fetchPage: (id) => this.#loader.pages(id),
        pending: (id) => this.#outbox.entries(id),
        added: (id, events) => this.#added(id, events),
        grown: (conversation, events, knownSeq) => this.#grown(conversation, events, knownSeq),
        readAhead: (id, seq) => this.#marks.read(id, seq),
        unknown: (id) => this.#loader.refresh(id),
        strangers: (ids) => this.#loader.names(ids),
      },
      kept,
    );
    this.#replica.meet([this.me]);
    this.#own = new OwnLog(this.#replica, this.me.id, {
      refresh: (id) => this.#loader.refresh(id),
      befriended: (id) => void this.#loader.presence([id]),
      parted: (id) => this.#whereabouts.part(id),
      news: (news) => {
        for (const watcher of this.#newsWatchers) safely(() => watcher(news, this.#missing));
      },
      restarted: () => {
        this.#marks.restart();
        this.#outbox.restarted();
      },
    });
    this.#link = new SharedLink(
      options.tabs,
      {
        dials: options.dials,
        ...(options.elsewhere && { elsewhere: options.elsewhere }),
        token: (rejected) => this.#auth.token(rejected),
        doubtful: options.doubtful ?? false,
        client: options.name ?? "gogochat-web/0.1.0",
        clock,
      },
      {
        up: (line, welcome, leading) => this.#up(line, welcome, leading),
        down: () => this.#down(),
        lead: async () => this.#outbox.adopt(await this.#storage.outbox()),
        deed: (deed) => this.#follow(deed),
        event: (event) => this.#event(event),
        ephemeral: (ephemeral) => {
          if (ephemeral.kind.case === "person") this.#renamed(toPerson(ephemeral.kind.value));
          else this.#whereabouts.receive(ephemeral);
        },
        watermark: (w) => {
          if (w.userId !== "") this.#replica.watermark(w.conversationId, w.userId, Number(w.deliveredSeq), Number(w.readSeq));
          this.#replica.othersMarks(w.conversationId, Number(w.othersDeliveredSeq), Number(w.othersReadSeq));
          if (w.userId === this.me.id) void this.#loader.recount(w.conversationId);
        },
        resync: () => this.#syncSoon(0),
        signedOut: () => this.#auth.forget(),
      },
    );
    this.kept = options.storage.kept;
    this.connection = this.#link.state;
    this.conversations = this.#replica.conversations;
    this.contacts = this.#replica.contacts;
    this.people = this.#replica.people;
    this.blocked = this.#replica.blocked;
    this.typing = this.#whereabouts.typing;
    this.presence = this.#whereabouts.presence;
    const ends = [
      this.#link.state.subscribe(({ status }) => status === "offline" && this.#whereabouts.forget()),
      // Tokens that this tab or another has fetched: the session goes over to them before the old ones lapse.
      this.#auth.signedIn.subscribe((now) => {
        if (now?.deviceId !== this.deviceId) return this.#link.stop();
        this.#link.renew(now.accessToken);
        this.#planRenewal();
      }),
      this.#storage.onReturn(({ lost, outbox }) => {
        if (lost) {
          this.#replica.keepAgain();
          this.#outbox.keepAgain();
        }
        this.#outbox.adopt(outbox);
      }),
    ];
    this.#unsubscribe = () => {
      for (const end of ends) end();
    };
    this.#planRenewal();
  }

  /** A conversation by its id. */
  conversation(id: string): Conversation | undefined {
    return this.#replica.conversation(id);
  }

  /** A conversation by its id, once it is known here; undefined when it does not come. */
  whenKnown(id: string): Promise<Conversation | undefined> {
    return new Promise((resolve) => {
      const look = () => {
        const found = this.#replica.conversation(id);
        if (found?.lastEvent) end(found);
      };
      const end = (found: Conversation | undefined) => {
        stop();
        cancel();
        resolve(found);
      };
      const cancel = this.#clock.after(KNOWN_MS, () => end(undefined));
      const stop = this.#replica.conversations.subscribe(look);
      look();
    });
  }

  /** The timeline of a conversation; opening it loads its newest page. */
  timeline(id: string): Timeline {
    const { timeline, fresh } = this.#replica.timeline(id);
    this.#open.add(id);
    // What they call themselves may have changed while this device was away.
    const peer = this.#replica.conversation(id)?.peer;
    if (fresh && peer) this.#loader.names([peer.id]);
    if (fresh) void this.#loader.open(id, timeline);
    return timeline;
  }

  /** The members of a conversation; read anew by each call. */
  members(id: string): Observable<readonly Member[]> {
    void this.#loader.members(id).catch(() => {});
    return this.#replica.members(id);
  }

  /** Waits until a conversation that one has joined is here. */
  async joined(id: string): Promise<void> {
    await this.#loader.load(id);
  }

  /** Reads a conversation anew, with what lists leave out: a group's notice. */
  details(id: string): void {
    this.#loader.refresh(id);
  }

  /** Sends a text: kept at once, sent when there is a connection. All before it is read. */
  send(conversationId: string, text: string): void {
    this.#outbox.add(conversationId, text);
    // Who answers has read.
    const conversation = this.#replica.conversation(conversationId);
    if (conversation && conversation.unread > 0) this.markRead(conversationId, conversation.lastSeq);
    this.#replica.lift(conversationId);
    this.#whereabouts.wrote(conversationId);
  }

  /** Sends a failed message again. */
  retry(conversationId: string, clientMsgId: string): void {
    this.#outbox.retry(conversationId, clientMsgId);
  }

  /** Drops a failed message. */
  discard(conversationId: string, clientMsgId: string): void {
    this.#outbox.discard(conversationId, clientMsgId);
  }

  /** The person has seen everything up to here. */
  markRead(conversationId: string, seq: number): void {
    const conversation = this.#replica.conversation(conversationId);
    if (!conversation || seq <= conversation.readSeq) return;
    const upTo = Math.min(seq, conversation.lastSeq);
    this.#read(conversationId, upTo);
    this.#link.tell({ kind: "read", conversationId, seq: upTo });
  }

  /** The person is typing here, or has stopped. */
  type(conversationId: string, typing: boolean): void {
    this.#whereabouts.say(this.#link.line, conversationId, typing);
  }

  /** People whose name, or a word of whose display name, begins with the query; "@bob" asks for the name alone. */
  async findPeople(query: string): Promise<Person[]> {
    const { people } = await this.#calls.call(methods.FindPeople, { query });
    return people.map(toPerson);
  }

  /** Asks somebody to be a contact. */
  async requestContact(person: Person, note: string): Promise<void> {
    const reply = await this.#calls.call(methods.RequestContact, { userId: person.id, note }, { done: "already_contact" });
    // An empty answer: they had asked too, and the own log brings the conversation.
    if (!reply.state) return;
    const { conversationId } = reply;
    const state = toContactState(reply.state);
    this.#replica.putContact({ person, state, note, sinceMs: Date.now(), conversationId });
    if (conversationId) this.#loader.refresh(conversationId);
  }

  /** Accepts a request; the direct conversation's id. */
  async acceptContact(userId: string): Promise<string> {
    const { conversationId } = await this.#calls.call(methods.AcceptContact, { userId });
    const contact = this.#replica.contact(userId);
    if (contact) this.#replica.putContact({ ...contact, state: "accepted", conversationId });
    await this.#loader.load(conversationId);
    void this.#loader.presence([userId]);
    return conversationId;
  }

  /** Ends a contact, refuses a request or withdraws one. */
  async removeContact(userId: string): Promise<void> {
    const conversationId = this.#replica.contact(userId)?.conversationId;
    await this.#calls.call(methods.RemoveContact, { userId }, { done: "not_found" });
    this.#replica.removeContact(userId);
    if (conversationId) this.#replica.change(conversationId, { writable: false });
  }

  /** Makes a group; its id. */
  async createGroup(title: string, memberIds: readonly string[]): Promise<string> {
    const request = { clientMsgId: newId(), title, memberIds: [...memberIds] };
    const { conversationId } = await this.#calls.call(methods.CreateGroup, request);
    await this.#loader.load(conversationId);
    return conversationId;
  }

  /** Adds contacts to a group. */
  async addMembers(conversationId: string, userIds: readonly string[]): Promise<void> {
    const request = { conversationId, clientMsgId: newId(), userIds: [...userIds] };
    await this.#calls.call(methods.AddMembers, request, { key: conversationId });
    await this.#loader.members(conversationId);
  }

  /** Leaves a group. */
  async leaveGroup(conversationId: string): Promise<void> {
    await this.#calls.call(methods.LeaveGroup, { conversationId, clientMsgId: newId() }, { key: conversationId });
    this.#replica.removeConversation(conversationId);
  }

  /**
   * Calls back for each message of others that arrives, but for what was read on another device
   * before it came here. Also for what crosses a message of one's own: that counts as read with it,
   * and was not seen. `missed`: it was written while this device was away for a while, and was
   * fetched now.
   */
  onMessage(callback: (conversation: Conversation, event: LogEvent, missed: boolean) => void): () => void {
    this.#watchers.add(callback);
    return () => this.#watchers.delete(callback);
  }

  /** Calls back for what others do with this user beyond messages. `missed` as of messages. */
  onNews(callback: (news: News, missed: boolean) => void): () => void {
    this.#newsWatchers.add(callback);
    return () => this.#newsWatchers.delete(callback);
  }

  /** Whether somebody looks at the page: then a broken connection is noticed within seconds. */
  set attentive(attentive: boolean) {
    this.#link.attentive = attentive;
    if (!attentive) this.#marks.flush();
  }

  /** Whether this tab speaks for the device: of all its tabs one does. */
  get leading(): boolean {
    return this.#link.leading;
  }

  /** The network may be back. */
  kick(): void {
    this.#link.kick();
  }

  /** Disconnects; what was kept stays. */
  async close(): Promise<void> {
    this.#marks.flush();
    this.#unsubscribe();
    for (const timer of [this.#renewal, this.#resync]) timer.clear();
    this.#loader.close();
    this.#link.stop();
    await this.#storage.flush();
    this.#storage.close();
  }

  /** Disconnects and forgets everything: the device is signed out. */
  async destroy(): Promise<void> {
    await this.close();
    await this.#storage.destroy().catch(() => {});
  }

  #renamed(person: Person): void {
    this.#replica.renamed([person]);
    if (person.id === this.me.id) this.#auth.renamed(person);
  }

  #up(line: Line, welcome: Welcome, leading: boolean): void {
    this.#ownSeqNow = Number(welcome.ownSeq);
    this.#own.history(welcome.epoch);
    this.#missing = this.#downSince === undefined || this.#clock.now() - this.#downSince > BRIEF_MS;
    this.#calls.connected(line);
    if (leading) {
      this.#outbox.connected(line);
      this.#marks.connected(line);
    } else if (this.#storage.kept.get()) {
      void this.#storage.outbox().then((entries) => !this.#link.leading && this.#outbox.reconcile(entries));
    }
    this.#syncSoon(0);
  }

  /** A person did something in another tab. */
  #follow(deed: Deed): void {
    if (deed.kind === "outbox") this.#outbox.follow(deed.change);
    else this.#read(deed.conversationId, deed.seq);
  }

  #read(conversationId: string, seq: number): void {
    this.#replica.watermark(conversationId, this.me.id, seq, seq);
    this.#marks.read(conversationId, seq);
    void this.#loader.recount(conversationId);
  }

  #down(): void {
    this.#downSince = this.#clock.now();
    this.#outbox.disconnected();
    this.#marks.disconnected();
    this.#resync.clear();
  }

  #event(event: Event): void {
    if (event.logId === this.me.id) {
      const missing = this.#missing;
      this.#missing = false;
      const next = this.#own.receive(event);
      this.#missing = missing;
      if (!next) this.#syncSoon(GAP_PATIENCE_MS);
      return;
    }
    this.#receive(toEvent(event));
  }

  #receive(event: LogEvent): void {
    this.#replica.receive(event);
    // Also when the log has no place for it, ahead of a gap or behind its tail.
    this.#added(event.logId, [event]);
  }

  #added(conversationId: string, events: readonly LogEvent[]): void {
    for (const { senderId, deviceId, clientMsgId, seq } of events) {
      if (senderId !== this.me.id || !clientMsgId) continue;
      this.#outbox.committed(conversationId, clientMsgId, seq);
      if (deviceId === this.deviceId) this.#sentTo.set(conversationId, Math.max(seq, this.#sentTo.get(conversationId) ?? 0));
    }
    this.#outbox.reached(conversationId, this.#replica.log(conversationId).tail);
  }

  #grown(conversation: Conversation, events: readonly LogEvent[], knownSeq: number): void {
    // The mark may be that of a message on its way, whose place is not known here yet.
    const sent = this.#outbox.sends(conversation.id) ? Number.POSITIVE_INFINITY : (this.#sentTo.get(conversation.id) ?? 0);
    const readElsewhere = conversation.readSeq > sent ? conversation.readSeq : 0;
    let others = 0;
    for (const event of events) {
      if (event.senderId === this.me.id) continue;
      others = event.seq;
      this.#whereabouts.stopped(conversation.id, event.senderId);
      if (event.body.kind !== "message" || event.seq <= readElsewhere) continue;
      // The head told of it: it was not there when it was written.
      const missed = event.seq <= knownSeq && this.#missing;
      for (const watcher of this.#watchers) safely(() => watcher(conversation, event, missed));
    }
    if (others > conversation.deliveredSeq) {
      this.#marks.delivered(conversation.id, others);
      this.#replica.change(conversation.id, { deliveredSeq: others });
    }
    const moved = events.some(({ body }) => MOVING.has(body.kind));
    if (moved && this.#replica.members(conversation.id).get().length > 0) {
      void this.#loader.members(conversation.id).catch(() => {});
    }
  }

  #syncSoon(ms: number): void {
    this.#resync.set(ms, () => void this.#sync());
  }

  async #sync(): Promise<void> {
    const session = this.#link.line;
    if (!session) return;
    let moved: readonly string[];
    try {
      moved = await synchronize(session, this.#replica, this.#own, this.#ownSeqNow);
    } catch {
      // A session that ended brings its successor, and that syncs; this one is still there: once more.
      if (session === this.#link.line) this.#syncSoon(RESYNC_MS);
      return;
    }
    const contacts = this.#replica.contacts.get().filter((contact) => contact.state === "accepted");
    void this.#loader.presence(contacts.map((contact) => contact.person.id));
    // What is open first, then the most recent ones, a few at a time; the rest when it is opened.
    const open = [...this.#open].filter((id) => this.#replica.conversation(id));
    const rest = moved.filter((id) => !this.#open.has(id)).slice(0, PREFETCH);
    await Promise.all(open.map((id) => this.#loader.catchUp(id)));
    for (let i = 0; i < rest.length && session === this.#link.line; i += 4) {
      await Promise.all(rest.slice(i, i + 4).map((id) => this.#loader.catchUp(id)));
    }
  }

  /** Refreshes the access token in time; whoever waits for it in another tab gets the same. */
  #planRenewal(): void {
    const due = this.#auth.refreshDueMs();
    if (!Number.isFinite(due)) return;
    this.#renewal.set(Math.min(Math.max(due, RENEW_LEAST_MS), RENEW_MOST_MS), () => {
      this.#auth.token().then(
        () => this.#planRenewal(),
        (error) => {
          if (!(error instanceof GogochatError) || error.code !== "signed_out") this.#planRenewal();
        },
      );
    });
  }
}

/** A watcher's fault is its own: it never reaches whoever reads the transport. */
function safely(work: () => void): void {
  try {
    work();
  } catch (error) {
    (globalThis.reportError ?? console.error)(error);
  }
}

/** What changes the list of members. */
const MOVING: ReadonlySet<string> = new Set(["added", "joined", "left", "removed", "role", "muted"]);
/** What was missed in a break that was not longer is announced as if there had been none. */
const BRIEF_MS = 60_000;
const KNOWN_MS = 10_000;
const GAP_PATIENCE_MS = 300;
const RESYNC_MS = 2_000;
/** Conversations whose newest page is fetched before they are opened. */
const PREFETCH = 50;
const RENEW_LEAST_MS = 5_000;
const RENEW_MOST_MS = 3_600_000;
