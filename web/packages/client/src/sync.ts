// Catching up: the user's own log from its cursor, then each conversation that moved. Run once for
// every new session.

import { GogochatError } from "./errors.ts";
import type { Event } from "./gen/gogochat/v1/event_pb.ts";
import type { SyncResponse } from "./gen/gogochat/v1/sync_pb.ts";
import * as methods from "./methods.ts";
import { type News, toContact, toConversation, toHead, toPerson } from "./model.ts";
import type { Replica } from "./replica.ts";
import type { Line } from "./session.ts";

/** What a change in the user's own log asks for. */
export interface OwnEvents {
  /** A conversation has to be read anew. */
  refresh(conversationId: string): void;
  /** Somebody became a contact. */
  befriended(userId: string): void;
  /** Somebody is a contact no more. */
  parted(userId: string): void;
  /** Somebody did something, and it is not of old. */
  news(news: News): void;
  /** The server has lost what this device knows: everything begins anew. */
  restarted(): void;
}

/** The user's own log, applied in order. */
export class OwnLog {
  readonly #replica: Replica;
  readonly #me: string;
  readonly #events: OwnEvents;

  constructor(replica: Replica, me: string, events: OwnEvents) {
    this.#replica = replica;
    this.#me = me;
    this.#events = events;
  }

  /** Applies the next event; false when one before it is missing. */
  receive(event: Event): boolean {
    const seq = Number(event.seq);
    const have = this.#replica.ownSeq;
    // Before the first Sync of a new device the cursor is not known yet; that Sync covers it.
    if (have === undefined || seq <= have) return true;
    if (seq > have + 1) return false;
    this.#replica.ownSeq = seq;
    this.#apply(event);
    return true;
  }

  /** The server's history is another one (it was restored from a backup): begins as a new device. */
  restart(): void {
    this.#replica.restart();
    this.#events.restarted();
  }

  /** The server tells the history of this name. */
  history(epoch: string): void {
    const before = this.#replica.epoch;
    if (epoch === "" || epoch === before) return;
    if (before !== undefined) this.restart();
    this.#replica.epoch = epoch;
  }

  /** Where it ends now. */
  async end(session: Line): Promise<number> {
    const page = await session.call(methods.ListEvents, { conversationId: this.#me, limit: 1, from: { case: "beforeSeq", value: 0n } });
    return Number(page.lastSeq);
  }

  #apply({ body, timeMs, senderId }: Event): void {
    const sinceMs = Number(timeMs);
    switch (body.case) {
      case "contactRequested": {
        const { from, to, note } = body.value;
        const mine = from?.id === this.#me;
        const person = mine ? to : from;
        if (!person) return;
        this.#replica.putContact({
          person: toPerson(person),
          state: mine ? "requested" : "incoming",
          note,
          sinceMs,
          conversationId: "",
        });
        if (!mine) this.#events.news({ kind: "requested", person: toPerson(person), note });
        return;
      }
      case "contactAccepted": {
        const { peer, conversationId } = body.value;
        if (!peer) return;
        const before = this.#replica.contact(peer.id);
        const note = before?.note ?? "";
        this.#replica.putContact({ person: toPerson(peer), state: "accepted", note, sinceMs, conversationId });
        if (before?.state === "requested") this.#events.news({ kind: "accepted", person: toPerson(peer), conversationId });
        this.#events.refresh(conversationId);
        this.#events.befriended(peer.id);
        return;
      }
      case "contactRemoved": {
        const { peerId } = body.value;
        const conversationId = this.#replica.contact(peerId)?.conversationId;
        this.#replica.removeContact(peerId);
        this.#events.parted(peerId);
        if (conversationId) this.#replica.change(conversationId, { writable: false });
        return;
      }
      case "personBlocked": {
        const { person } = body.value;
        if (!person) return;
        this.#replica.meet([toPerson(person)]);
        return this.#replica.block(person.id, true);
      }
      case "personUnblocked":
        return this.#replica.block(body.value.userId, false);
      case "conversationJoined":
        this.#events.refresh(body.value.conversationId);
        return this.#events.news({ kind: "joined", conversationId: body.value.conversationId });
      case "conversationLeft": {
        const { conversationId } = body.value;
        const title = this.#replica.conversation(conversationId)?.title;
        if (senderId !== this.#me && title) this.#events.news({ kind: "removed", title, byId: senderId });
        return this.#replica.removeConversation(conversationId);
      }
      default:
        return;
    }
  }
}

/**
 * Brings the replica up to date over a session; the ids of the conversations that moved, the most
 * recently active first.
 * Rejects when the session ends meanwhile.
 */
export async function synchronize(
  session: Line,
  replica: Replica,
  own: OwnLog,
  ownSeqNow: number,
): Promise<readonly string[]> {
  const moved = new Set<string>();
  let restarted = false;
  for (;;) {
    if (replica.ownSeq === undefined) {
      // What the session began with may be of another history.
      const end = restarted ? await own.end(session) : ownSeqNow;
      await loadContacts(session, replica);
      replica.ownSeq = end;
    }
    const before: number = replica.ownSeq;
    let more: boolean;
    try {
      more = await syncOnce(session, replica, own, moved);
    } catch (error) {
      if (restarted || !(error instanceof GogochatError) || error.code !== "cursor_from_future") throw error;
      restarted = true;
      moved.clear();
      own.restart();
      continue;
    }
    // The own log comes in parts of 200; what cannot be applied does not come again and again.
    if (!more || replica.ownSeq === before) return [...moved];
  }
}

/** One Sync with all its pages; whether the own log has more. */
async function syncOnce(
  session: Line,
  replica: Replica,
  own: OwnLog,
  moved: Set<string>,
): Promise<boolean> {
  // Who has a position need not tell heads. Who has none takes everything from a server that gives one:
  // also the order of what has not moved.
  const known = replica.epoch === undefined ? replica.conversations.get().slice(0, MAX_KNOWN).map(toHead) : [];
  const ownSeq = BigInt(replica.ownSeq ?? 0);
  const { epoch, position } = replica;
  // A tab that was asleep may know less than the storage: until it has caught up, so does the storage.
  if (position > 0) replica.position = position;
  let place: number | undefined;
  let more = false;
  let pageToken = "";
  let reached = 0;
  do {
    const request = { ownSeq, known, pageToken, position: BigInt(position) };
    const page: SyncResponse = await session.call(methods.Sync, request, { aside: true });
    if (page.epoch !== "" && page.epoch !== epoch) {
      replica.epoch = page.epoch;
      if (epoch !== undefined) throw new GogochatError("cursor_from_future", "another history");
    }
    for (const conversation of page.conversations) {
      if (conversation.order === 0n) place = (place ?? replica.places() + 1) - 1;
      replica.merge(toConversation(conversation), place);
      moved.add(conversation.id);
    }
    for (const id of page.gone) replica.removeConversation(id);
    for (const event of page.ownEvents) own.receive(event);
    // Said on the first page alone.
    more ||= page.ownMore;
    pageToken = page.nextPageToken;
    reached = Number(page.position);
  } while (pageToken !== "");
  if (reached > 0) replica.position = reached;
  return more;
}

async function loadContacts(session: Line, replica: Replica): Promise<void> {
  const gone = new Set(replica.contacts.get().map((contact) => contact.person.id));
  let pageToken = "";
  do {
    const page = await session.call(methods.ListContacts, { limit: 500, pageToken }, { aside: true });
    for (const raw of page.contacts) {
      const contact = toContact(raw);
      if (!contact) continue;
      replica.putContact(contact);
      gone.delete(contact.person.id);
    }
    pageToken = page.nextPageToken;
  } while (pageToken !== "");
  for (const id of gone) replica.removeContact(id);
  await loadBlocks(session, replica);
}

async function loadBlocks(session: Line, replica: Replica): Promise<void> {
  const blocked = new Set<string>();
  let pageToken = "";
  try {
    do {
      const page = await session.call(methods.ListBlocks, { limit: 500, pageToken }, { aside: true });
      for (const { person } of page.blocks) if (person) blocked.add(person.id);
      pageToken = page.nextPageToken;
    } while (pageToken !== "");
  } catch (error) {
    // An older server knows of none.
    if (!(error instanceof GogochatError) || error.code !== "unknown_method") throw error;
  }
  replica.blockAll(blocked);
}

/** Heads in one Sync. */
const MAX_KNOWN = 1_000;
