// What this device knows: conversations with their logs, contacts, people. Every change is kept in
// storage and shown by observables.

import type { Clock } from "./clock.ts";
import { type FetchPage, Log } from "./log.ts";
import type { Contact, Conversation, EventBody, LogEvent, Member, Person } from "./model.ts";
import { Cell, Lazy, type Observable } from "./observable.ts";
import { Ordered } from "./ordered.ts";
import { BLOCKED, EPOCH, type OutboxEntry, OWN_SEQ, POSITION, type Snapshot, type Storage } from "./storage/storage.ts";
import { Timeline } from "./timeline.ts";

/** What a replica needs and reports. */
export interface ReplicaOptions {
  readonly storage: Storage;
  readonly clock: Clock;
  /** This user's id. */
  readonly me: string;
  fetchPage(conversationId: string): FetchPage;
  pending(conversationId: string): readonly OutboxEntry[];
  /** Events were added to the log of a conversation, wherever. */
  added(conversationId: string, events: readonly LogEvent[]): void;
  /**
   * Events were added at the end of a conversation. Those up to `knownSeq` had been heard of
   * before: they were missed, and fetched later.
   */
  grown(conversation: Conversation, events: readonly LogEvent[], knownSeq: number): void;
  /** The server does not know how far this user has read: the page was gone before it could tell. */
  readAhead(conversationId: string, seq: number): void;
  /** An event of a conversation that is not here. */
  unknown(conversationId: string): void;
  /** People whose names are not here. */
  strangers(ids: readonly string[]): void;
}

/** The state of a device. */
export class Replica {
  /** The most recently active first. */
  readonly conversations: Observable<readonly Conversation[]>;
  readonly contacts: Observable<readonly Contact[]>;
  readonly people: Observable<ReadonlyMap<string, Person>>;
  /** The ids of those whom this user blocks. */
  readonly blocked: Cell<ReadonlySet<string>>;
  readonly #list: Lazy<readonly Conversation[]>;
  readonly #contactList: Lazy<readonly Contact[]>;
  readonly #peopleMap: Lazy<ReadonlyMap<string, Person>>;
  readonly #options: ReplicaOptions;
  readonly #conversations = new Map<string, Conversation>();
  readonly #contacts = new Map<string, Contact>();
  readonly #people = new Map<string, Person>();
  readonly #logs = new Map<string, Log>();
  readonly #timelines = new Map<string, Timeline>();
  readonly #members = new Map<string, Cell<readonly Member[]>>();
  #ownSeq: number | undefined;
  #epoch: string | undefined;
  #position: number;
  #order = 0;
  readonly #ordered = new Ordered();

  constructor(options: ReplicaOptions, kept: Snapshot) {
    this.#options = options;
    this.#ownSeq = kept.ownSeq;
    this.#epoch = kept.epoch;
    this.#position = kept.position;
    for (const { conversation: was, segments } of kept.conversations) {
      // What an earlier version kept has no order.
      const conversation = { ...was, order: was.order ?? 0 };
      this.#order = Math.max(this.#order, conversation.order);
      this.#conversations.set(conversation.id, conversation);
      this.#ordered.set(conversation);
      this.#logs.set(conversation.id, this.#makeLog(conversation.id, segments));
    }
    this.blocked = new Cell<ReadonlySet<string>>(new Set(kept.blocked.split(" ").filter((id) => id !== "")));
    for (const contact of kept.contacts) this.#contacts.set(contact.person.id, contact);
    for (const person of kept.people) this.#people.set(person.id, person);
    this.conversations = this.#list = new Lazy<readonly Conversation[]>(() => this.#ordered.get());
    this.contacts = this.#contactList = new Lazy<readonly Contact[]>(() =>
      [...this.#contacts.values()].sort((a, b) => a.person.displayName.localeCompare(b.person.displayName)),
    );
    this.people = this.#peopleMap = new Lazy<ReadonlyMap<string, Person>>(() => new Map(this.#people));
  }

  /** The cursor on the user's own log; undefined on a new device. */
  get ownSeq(): number | undefined {
    return this.#ownSeq;
  }

  set ownSeq(seq: number) {
    this.#ownSeq = seq;
    this.#options.storage.put("meta", OWN_SEQ, seq);
  }

  /** The history that all this is of; undefined where no server has told it. */
  get epoch(): string | undefined {
    return this.#epoch;
  }

  set epoch(epoch: string) {
    this.#epoch = epoch;
    this.#options.storage.put("meta", EPOCH, epoch);
  }

  /** What has moved up to here is known; 0 where no server has told it. */
  get position(): number {
    return this.#position;
  }

  set position(position: number) {
    this.#position = position;
    this.#options.storage.put("meta", POSITION, position);
  }

  conversation(id: string): Conversation | undefined {
    return this.#conversations.get(id);
  }

  log(id: string): Log {
    let log = this.#logs.get(id);
    if (!log) this.#logs.set(id, (log = this.#makeLog(id, [])));
    return log;
  }

  /** The timeline of a conversation, made when it is first asked for. */
  timeline(id: string): { timeline: Timeline; fresh: boolean } {
    let timeline = this.#timelines.get(id);
    const fresh = !timeline;
    if (!timeline) {
      const { storage, me, pending } = this.#options;
      timeline = new Timeline(this.log(id), storage, id, me, () => this.#firstSeq(id), () => pending(id));
      this.#timelines.set(id, timeline);
    }
    return { timeline, fresh };
  }

  /** The outbox of a conversation changed. */
  touchTimeline(id: string): void {
    this.#timelines.get(id)?.touch();
  }

  /** The members of a conversation, as far as they were loaded. */
  members(id: string): Cell<readonly Member[]> {
    let members = this.#members.get(id);
    if (!members) this.#members.set(id, (members = new Cell<readonly Member[]>([])));
    return members;
  }

  /**
   * Places in the list for conversations that come one after the other, the most recently active
   * first: the first of them, the others count down.
   */
  places(): number {
    this.#order += MANY;
    return this.#order;
  }

  /**
   * Takes what the server says of a conversation. What this device knows better (its own newer
   * marks, a later event) stays. `place`: where it stands if it has moved, with a server that does not
   * tell its order.
   */
  merge(server: Conversation, place?: number): void {
    const old = this.#conversations.get(server.id);
    if (server.peer) this.meet([server.peer]);
    const order = this.#place(old, server, place);
    if (!old) return this.#put({ ...server, order });
    const readSeq = Math.max(old.readSeq, server.readSeq);
    const behind = server.lastSeq < old.lastSeq;
    const newer = behind ? old : server;
    const unread = readSeq >= newer.lastSeq ? 0 : old.readSeq > server.readSeq ? unreadAfter(old, server) : newer.unread;
    if (old.readSeq > server.readSeq) this.#options.readAhead(server.id, Math.min(old.readSeq, server.lastSeq));
    this.#put({
      ...server,
      readSeq,
      unread,
      lastSeq: newer.lastSeq,
      lastEvent: newer.lastEvent,
      activeMs: newer.activeMs,
      order,
      deliveredSeq: Math.max(old.deliveredSeq, server.deliveredSeq),
      othersDeliveredSeq: Math.max(old.othersDeliveredSeq, server.othersDeliveredSeq),
      othersReadSeq: Math.max(old.othersReadSeq, server.othersReadSeq),
      // Lists leave it out.
      notice: server.notice ?? old.notice,
    });
  }

  #place(old: Conversation | undefined, server: Conversation, place: number | undefined): number {
    if (server.order === 0) return old && old.lastSeq >= server.lastSeq ? old.order : (place ?? ++this.#order);
    this.#order = Math.max(this.#order, server.order);
    // What came live, or waits to be sent, is later than what was told.
    const isLater = old && (old.lastSeq > server.lastSeq || this.#options.pending(server.id).length > 0);
    return isLater ? Math.max(old.order, server.order) : server.order;
  }

  /** A conversation moved to the top of the list. */
  lift(id: string): void {
    this.change(id, { order: ++this.#order });
  }

  /** Changes a conversation that is here. */
  change(id: string, change: Partial<Conversation>): void {
    const old = this.#conversations.get(id);
    if (!old) return;
    for (const key of Object.keys(change) as (keyof Conversation)[]) {
      if (old[key] !== change[key]) return this.#put({ ...old, ...change });
    }
  }

  /** This user is no member any more. */
  removeConversation(id: string): void {
    if (!this.#conversations.delete(id)) return;
    this.#ordered.delete(id);
    this.#logs.delete(id);
    this.#options.storage.delete("conversations", id);
    this.#list.touch();
  }

  /** The server tells another history than this device knows: forgets all but people and contacts, as on a new device. */
  restart(): void {
    this.#conversations.clear();
    this.#ordered.clear();
    for (const log of this.#logs.values()) log.restart();
    for (const timeline of this.#timelines.values()) timeline.restart();
    for (const members of this.#members.values()) members.set([]);
    this.#ownSeq = undefined;
    this.#position = 0;
    for (const key of [OWN_SEQ, POSITION]) this.#options.storage.delete("meta", key);
    this.#options.storage.clear("conversations");
    this.#options.storage.clear("events");
    this.#list.touch();
  }

  /** The storage has lost what it had: keeps everything anew but events, which can be fetched again. */
  keepAgain(): void {
    const { storage } = this.#options;
    if (this.#ownSeq !== undefined) storage.put("meta", OWN_SEQ, this.#ownSeq);
    if (this.#epoch !== undefined) storage.put("meta", EPOCH, this.#epoch);
    storage.put("meta", POSITION, this.#position);
    this.blockAll(this.blocked.get());
    for (const conversation of this.#conversations.values()) this.#keep(conversation);
    for (const [id, contact] of this.#contacts) storage.put("contacts", id, contact);
    for (const [id, person] of this.#people) storage.put("people", id, person);
  }

  /** Takes an event of a conversation, live or from an acknowledgement. */
  receive(event: LogEvent): void {
    this.log(event.logId).receive(event);
    if (!this.#conversations.has(event.logId)) this.#options.unknown(event.logId);
  }

  /** All others have got this far. */
  othersMarks(id: string, deliveredSeq: number, readSeq: number): void {
    const conversation = this.#conversations.get(id);
    if (conversation) this.#others(conversation, deliveredSeq, readSeq);
  }

  /** A member's marks moved: one's own, or another's, of whom a server of the release before tells one by one. */
  watermark(id: string, userId: string, deliveredSeq: number, readSeq: number): void {
    const conversation = this.#conversations.get(id);
    if (!conversation) return;
    const delivered = Math.max(deliveredSeq, readSeq);
    if (userId === this.#options.me) {
      return this.change(id, {
        readSeq: Math.max(conversation.readSeq, readSeq),
        deliveredSeq: Math.max(conversation.deliveredSeq, delivered),
        ...(readSeq >= conversation.lastSeq && { unread: 0 }),
      });
    }
    if (!conversation.group) return this.#others(conversation, delivered, readSeq);
    const cell = this.#members.get(id);
    if (!cell || cell.get().length === 0) return;
    const members = cell.get().map((member) =>
      member.person.id === userId
        ? {
            ...member,
            deliveredSeq: Math.max(member.deliveredSeq, delivered),
            readSeq: Math.max(member.readSeq, readSeq),
          }
        : member,
    );
    cell.set(members);
    this.lowestMarks(id);
  }

  /** In a group, the ticks follow the slowest member. */
  lowestMarks(id: string): void {
    const conversation = this.#conversations.get(id);
    const others = this.members(id).get().filter((member) => member.person.id !== this.#options.me);
    if (!conversation?.group || others.length === 0 || others.length + 1 < conversation.memberCount) return;
    const lowest = (mark: (member: Member) => number) => Math.min(...others.map(mark));
    this.#others(conversation, lowest((m) => m.deliveredSeq), lowest((m) => m.readSeq));
  }

  putContact(contact: Contact): void {
    this.meet([contact.person]);
    this.#contacts.set(contact.person.id, contact);
    this.#options.storage.put("contacts", contact.person.id, contact);
    this.#contactList.touch();
  }

  contact(userId: string): Contact | undefined {
    return this.#contacts.get(userId);
  }

  removeContact(userId: string): void {
    if (!this.#contacts.delete(userId)) return;
    this.#options.storage.delete("contacts", userId);
    this.#contactList.touch();
  }

  /** This user blocks somebody, or not any more. */
  block(userId: string, blocks: boolean): void {
    const now = new Set(this.blocked.get());
    if (blocks) now.add(userId);
    else now.delete(userId);
    this.blockAll(now);
  }

  /** This user blocks these, and nobody else. */
  blockAll(userIds: ReadonlySet<string>): void {
    this.blocked.set(userIds);
    this.#options.storage.put("meta", BLOCKED, [...userIds].join(" "));
  }

  /** Learns people's names. */
  meet(people: readonly Person[]): void {
    for (const person of people) {
      const old = this.#people.get(person.id);
      if (old && isSame(old, person)) continue;
      this.#people.set(person.id, person);
      this.#options.storage.put("people", person.id, person);
      this.#peopleMap.touch();
    }
  }

  /** Learns how people call themselves now, wherever they are named. */
  renamed(people: readonly Person[]): void {
    this.meet(people);
    const now = new Map(people.map((person) => [person.id, person]));
    const other = (old: Person | undefined) => {
      const person = old && now.get(old.id);
      return person && !isSame(old, person) ? person : undefined;
    };
    for (const id of now.keys()) {
      const contact = this.#contacts.get(id);
      const person = other(contact?.person);
      if (contact && person) this.putContact({ ...contact, person });
    }
    for (const { id, peer } of this.#conversations.values()) {
      const person = other(peer);
      if (person) this.change(id, { peer: person });
    }
    for (const members of this.#members.values()) {
      if (!members.get().some(({ person }) => other(person))) continue;
      members.set(members.get().map((member) => ({ ...member, person: other(member.person) ?? member.person })));
    }
  }

  #others(conversation: Conversation, delivered: number, read: number): void {
    this.change(conversation.id, {
      othersDeliveredSeq: Math.max(conversation.othersDeliveredSeq, delivered),
      othersReadSeq: Math.max(conversation.othersReadSeq, read),
    });
  }

  #put(conversation: Conversation): void {
    this.#conversations.set(conversation.id, conversation);
    this.#ordered.set(conversation);
    this.#keep(conversation);
    if (conversation.lastEvent) this.#askNames([conversation.lastEvent]);
    this.#list.touch();
  }

  #keep(conversation: Conversation): void {
    const segments = this.log(conversation.id).segments;
    this.#options.storage.put("conversations", conversation.id, { conversation, segments });
  }

  #firstSeq(id: string): number {
    return Math.max(1, this.#conversations.get(id)?.fromSeq ?? 1);
  }

  #makeLog(id: string, segments: Log["segments"]): Log {
    return new Log(segments, () => this.#firstSeq(id), this.#options.fetchPage(id), this.#options.clock, {
      added: (events, where) => this.#added(id, events, where),
    });
  }

  #added(id: string, events: readonly LogEvent[], where: "newest" | "anew" | "older"): void {
    for (const event of events) this.#options.storage.put("events", [id, event.seq], event);
    this.#askNames(events);
    this.#timelines.get(id)?.added(events, where);
    this.#options.added(id, events);
    const conversation = this.#conversations.get(id);
    if (!conversation) return;
    if (where === "older") return this.#keep(conversation);
    const next = grow(conversation, events, this.#options.me);
    this.#put(next.lastSeq > conversation.lastSeq ? { ...next, order: ++this.#order } : next);
    const grown = this.#conversations.get(id);
    if (grown) this.#options.grown(grown, events, conversation.lastSeq);
    const sent = new Map(events.filter(({ body }) => body.kind === "message").map(({ senderId, seq }) => [senderId, seq]));
    sent.delete(this.#options.me);
    for (const [sender, seq] of sent) this.watermark(id, sender, seq, seq);
  }

  #askNames(events: readonly LogEvent[]): void {
    const ids = new Set<string>();
    for (const { senderId, body } of events) {
      ids.add(senderId);
      if ("userId" in body) ids.add(body.userId);
      if ("memberIds" in body) for (const user of body.memberIds.slice(0, NAMED)) ids.add(user);
    }
    const strangers = [...ids].filter((user) => user !== "" && !this.#people.has(user));
    if (strangers.length > 0) this.#options.strangers(strangers);
  }
}

/**
 * A conversation after events at its end. Only what its head does not count yet is counted. Whoever
 * sends has read what stands before it.
 */
function grow(old: Conversation, events: readonly LogEvent[], me: string): Conversation {
  let { lastSeq, readSeq, unread, memberCount, lastEvent } = old;
  for (const event of events) {
    if (event.seq <= lastSeq) continue;
    lastSeq = event.seq;
    if (event.body.kind === "message") {
      if (event.senderId === me) [readSeq, unread] = [event.seq, 0];
      else if (event.seq > readSeq) unread++;
    }
    if (event.body.kind === "added") memberCount += event.body.count;
    if (event.body.kind === "joined") memberCount++;
    if (event.body.kind === "removed") memberCount -= event.body.count;
    if (event.body.kind === "left") memberCount--;
    old = govern(old, event.body, event.senderId, me);
  }
  const last = events.at(-1);
  if (last && last.seq >= (lastEvent?.seq ?? 0)) lastEvent = last;
  const deliveredSeq = Math.max(old.deliveredSeq, readSeq);
  return { ...old, lastSeq, deliveredSeq, readSeq, unread, memberCount, lastEvent, activeMs: lastEvent?.timeMs ?? old.activeMs };
}

/**
 * What is unread behind a read mark that the server does not know yet: at least so much, as what was
 * read meanwhile may have been of others. It is counted once the server knows the mark.
 */
function unreadAfter(old: Conversation, server: Conversation): number {
  if (server.lastSeq <= old.lastSeq) return old.unread;
  return Math.max(old.unread, server.unread - (old.readSeq - server.readSeq));
}

/** A group after what its owner or an admin did. */
function govern(old: Conversation, body: EventBody, by: string, me: string): Conversation {
  switch (body.kind) {
    case "changed": {
      const { kind: _, title = old.title, notice = old.notice, ...settings } = body;
      return { ...old, title, notice, ...(old.settings && { settings: { ...old.settings, ...settings } }) };
    }
    case "role":
      if (body.userId === me) return { ...old, role: body.role };
      // Who gives the group away is an admin from then on.
      return body.role === "owner" && by === me && old.role === "owner" ? { ...old, role: "admin" } : old;
    case "muted":
      return body.userId === me ? { ...old, mutedUntilMs: body.untilMs } : old;
    case "dismissed":
      return { ...old, writable: false };
    default:
      return old;
  }
}

/** More conversations than a list has. */
const MANY = 1_000_000;
/** How many names a line about members shows. */
const NAMED = 5;

function isSame(one: Person, other: Person): boolean {
  return one.name === other.name && one.displayName === other.displayName && one.signature === other.signature;
}
