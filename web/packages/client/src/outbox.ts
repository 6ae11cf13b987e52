// Messages on their way. Each is kept until it is known to be committed, sent in its conversation's
// order, and sent again with the same id
// after every break: the server answers a repeat with the first commit, so nothing is lost and
// nothing stands there twice.

import { Backoff, type Clock, Timer } from "./clock.ts";
import { type ErrorCode, GogochatError } from "./errors.ts";
import { SendMessage } from "./methods.ts";
import { newId } from "./ids.ts";
import type { Line } from "./session.ts";
import type { OutboxEntry, Storage } from "./storage/storage.ts";

/** What the outbox reports. */
export interface OutboxEvents {
  /** The entries of a conversation changed. */
  changed(conversationId: string): void;
  /** An entry was acknowledged: its place in the log. */
  acknowledged(entry: OutboxEntry, seq: number, timeMs: number): void;
  /** Something changed here that the device's other tabs have to know. */
  tell(change: OutboxChange): void;
}

/** A change of the outbox that all tabs of a device follow. */
export type OutboxChange =
  /** Written, refused for good, or to be sent again. */
  | { readonly kind: "put"; readonly entry: OutboxEntry }
  /** Acknowledged. */
  | { readonly kind: "sent"; readonly entry: OutboxEntry; readonly seq: number; readonly timeMs: number }
  | { readonly kind: "discarded"; readonly entry: OutboxEntry };

interface Item {
  entry: OutboxEntry;
  /** Committed: only shown, until the log has come to its place. */
  state: "queued" | "in flight" | "failed" | "committed";
  /** Its place in the log; 0 while it is not known to have one. */
  seq: number;
}

interface Lane {
  items: Item[];
  inFlight: number;
  /** How far the log has come. */
  tail: number;
  /** A send was refused for now: wait for the replies to those behind it, then begin again from it. */
  stalled: boolean;
  readonly backoff: Backoff;
  readonly timer: Timer;
}

/** The outbox of a device. Each of its tabs has all of it; the one that has a session sends. */
export class Outbox {
  readonly #lanes = new Map<string, Lane>();
  readonly #storage: Storage;
  readonly #clock: Clock;
  readonly #events: OutboxEvents;
  #session: Line | undefined;
  #lastN = 0;

  constructor(storage: Storage, clock: Clock, events: OutboxEvents, kept: readonly OutboxEntry[]) {
    this.#storage = storage;
    this.#clock = clock;
    this.#events = events;
    for (const entry of kept) {
      this.#lastN = Math.max(this.#lastN, entry.n);
      this.#lane(entry.conversationId).items.push({ entry, state: entry.error ? "failed" : "queued", seq: 0 });
    }
  }

  /** What waits in a conversation, in the order of sending. */
  entries(conversationId: string): readonly OutboxEntry[] {
    const lane = this.#lanes.get(conversationId);
    return lane?.items.filter((item) => item.seq === 0 || item.seq > lane.tail).map((item) => item.entry) ?? [];
  }

  /** How many messages are not known to be committed, failed ones left out. */
  get size(): number {
    let size = 0;
    for (const lane of this.#lanes.values()) size += lane.items.filter(isUnderWay).length;
    return size;
  }

  /** Whether there is one of these in a conversation. */
  sends(conversationId: string): boolean {
    return this.#lanes.get(conversationId)?.items.some(isUnderWay) ?? false;
  }

  /** Puts a message on its way. */
  add(conversationId: string, text: string): OutboxEntry {
    // What other tabs write at the same moment has numbers of their own: the time keeps them apart
    // and in order.
    this.#lastN = Math.max(this.#lastN + 1, Date.now() * 1_000);
    const entry: OutboxEntry = {
      n: this.#lastN,
      conversationId,
      clientMsgId: newId(),
      text,
      timeMs: Date.now(),
    };
    this.#storage.put("outbox", entry.clientMsgId, entry);
    const lane = this.#lane(conversationId);
    lane.items.push({ entry, state: "queued", seq: 0 });
    this.#events.changed(conversationId);
    this.#events.tell({ kind: "put", entry });
    this.#pump(lane);
    return entry;
  }

  /** Sends a failed message again, behind what waits now. */
  retry(conversationId: string, clientMsgId: string): void {
    const lane = this.#lane(conversationId);
    const item = lane.items.find((i) => i.entry.clientMsgId === clientMsgId && i.state === "failed");
    if (!item) return;
    lane.items = [...lane.items.filter((i) => i !== item), item];
    this.#lastN = Math.max(this.#lastN + 1, Date.now() * 1_000);
    this.#change(item, { n: this.#lastN, error: undefined }, "queued");
    this.#pump(lane);
  }

  /** Drops a failed message. */
  discard(conversationId: string, clientMsgId: string): void {
    const lane = this.#lane(conversationId);
    const item = lane.items.find((i) => i.entry.clientMsgId === clientMsgId);
    if (item?.state !== "failed") return;
    this.#remove(lane, item);
    this.#storage.delete("outbox", clientMsgId);
    this.#events.tell({ kind: "discarded", entry: item.entry });
  }

  /** Follows a change in another tab. */
  follow(change: OutboxChange): void {
    const { conversationId, clientMsgId } = change.entry;
    if (change.kind === "put") return this.adopt([change.entry]);
    const lane = this.#lane(conversationId);
    if (change.kind === "sent") {
      this.committed(conversationId, clientMsgId, change.seq);
      this.#events.acknowledged(change.entry, change.seq, change.timeMs);
      return this.#sweep(lane);
    }
    const item = lane.items.find((i) => i.entry.clientMsgId === clientMsgId);
    if (item?.state === "failed") this.#remove(lane, item);
  }

  /**
   * Takes entries that another tab has put, or that it left in the storage. What is known better
   * here stays.
   */
  adopt(entries: readonly OutboxEntry[]): void {
    const touched = new Set<Lane>();
    for (const entry of entries) {
      this.#lastN = Math.max(this.#lastN, entry.n);
      const lane = this.#lane(entry.conversationId);
      const item = lane.items.find((i) => i.entry.clientMsgId === entry.clientMsgId);
      const state = entry.error ? "failed" : "queued";
      if (!item) lane.items.push({ entry, state, seq: 0 });
      else if (item.state === "in flight" || item.seq > 0 || entry.n < item.entry.n) continue;
      else Object.assign(item, { entry, state });
      touched.add(lane);
    }
    for (const lane of touched) {
      lane.items.sort((a, b) => a.entry.n - b.entry.n || (a.entry.clientMsgId < b.entry.clientMsgId ? -1 : 1));
      this.#events.changed(lane.items[0]?.entry.conversationId ?? "");
      this.#pump(lane);
    }
  }

  /**
   * Another tab has the session, and `entries` is all that waits: what is not among them was sent
   * while this tab did not listen.
   */
  reconcile(entries: readonly OutboxEntry[]): void {
    const there = new Set(entries.map((entry) => entry.clientMsgId));
    for (const lane of this.#lanes.values()) {
      for (const item of lane.items) {
        if (item.state === "queued" && item.seq === 0 && !there.has(item.entry.clientMsgId)) this.#remove(lane, item);
      }
    }
    this.adopt(entries);
  }

  /** The storage has lost what it had: keeps anew what waits. */
  keepAgain(): void {
    for (const lane of this.#lanes.values()) {
      for (const { entry, seq } of lane.items) if (seq === 0) this.#storage.put("outbox", entry.clientMsgId, entry);
    }
  }

  /**
   * An entry is known to be committed, by its reply or its event: it needs no keeping any more,
   * whatever the log shows.
   */
  committed(conversationId: string, clientMsgId: string, seq: number): void {
    const lane = this.#lanes.get(conversationId);
    const item = lane?.items.find((i) => i.entry.clientMsgId === clientMsgId);
    if (!lane || !item || item.seq > 0) return;
    item.seq = seq;
    // A repeat that was refused, or is yet to be, holds the server's lane until it comes again.
    if (item.state !== "in flight" && !(item.state === "queued" && lane.stalled)) item.state = "committed";
    this.#storage.delete("outbox", clientMsgId);
    this.#events.changed(conversationId);
  }

  /** The log has come to its event `tail`: what is committed up to there stands in it, or in a gap of old. */
  reached(conversationId: string, tail: number): void {
    const lane = this.#lanes.get(conversationId);
    if (!lane || tail <= lane.tail) return;
    lane.tail = tail;
    if (lane.items.length === 0) return;
    this.#sweep(lane);
    this.#events.changed(conversationId);
  }

  /** The server has lost the end of its logs: what was committed there, and is here still, is sent again. */
  restarted(): void {
    for (const lane of this.#lanes.values()) {
      lane.tail = 0;
      for (const item of lane.items) {
        if (item.seq === 0) continue;
        item.seq = 0;
        this.#change(item, {}, item.state === "committed" ? "queued" : item.state);
      }
      this.#pump(lane);
    }
  }

  /**
   * Everything that has no reply is sent again by the new session, in order: a repeat is recognised
   * by its id.
   */
  connected(session: Line): void {
    this.#session = session;
    for (const lane of this.#lanes.values()) {
      for (const item of lane.items) {
        if (item.seq > 0) item.state = "committed";
        else if (item.state === "in flight") item.state = "queued";
      }
      this.#sweep(lane);
      lane.inFlight = 0;
      lane.stalled = false;
      lane.timer.clear();
      this.#pump(lane);
    }
  }

  disconnected(): void {
    this.#session = undefined;
    for (const lane of this.#lanes.values()) lane.timer.clear();
  }

  #pump(lane: Lane): void {
    const session = this.#session;
    if (!session || lane.stalled) return;
    for (const item of lane.items) {
      if (lane.inFlight >= WINDOW) return;
      if (item.state !== "queued") continue;
      item.state = "in flight";
      lane.inFlight++;
      void this.#send(session, lane, item);
    }
  }

  async #send(session: Line, lane: Lane, item: Item): Promise<void> {
    const { conversationId, clientMsgId, text } = item.entry;
    try {
      const reply = await session.call(SendMessage, { conversationId, clientMsgId, text }, { key: conversationId });
      const current = session === this.#session;
      if (current) {
        lane.backoff.reset();
        item.state = "committed";
      }
      // Told late by a session that was replaced, it may be in flight once more: then the reply to
      // that is waited for, as a refusal holds the server's lane.
      const [seq, timeMs] = [Number(reply.seq), Number(reply.timeMs)];
      this.committed(conversationId, clientMsgId, seq);
      this.#events.acknowledged(item.entry, seq, timeMs);
      this.#events.tell({ kind: "sent", entry: item.entry, seq, timeMs });
      this.#sweep(lane);
      if (current) this.#returned(lane);
    } catch (error) {
      // A session that was replaced says nothing: its successor sends the same.
      if (session !== this.#session) return;
      if (error instanceof GogochatError && error.retryable) {
        item.state = "queued";
        if (error.code !== "connection_lost") this.#stall(lane, error.retryAfterMs);
      } else if (item.seq > 0) {
        item.state = "committed";
        this.#sweep(lane);
      } else {
        this.#fail(item, error instanceof GogochatError ? error.code : "internal");
      }
      this.#returned(lane);
    }
  }

  #returned(lane: Lane): void {
    lane.inFlight--;
    this.#pump(lane);
  }

  #stall(lane: Lane, retryAfterMs: number): void {
    if (lane.stalled) return;
    lane.stalled = true;
    const again = () => {
      if (lane.inFlight > 0) return lane.timer.set(POLL_MS, again);
      lane.stalled = false;
      this.#pump(lane);
    };
    lane.timer.set(Math.max(retryAfterMs, lane.backoff.next()), again);
  }

  #fail(item: Item, error: ErrorCode): void {
    this.#change(item, { error }, "failed");
  }

  #change(item: Item, change: Partial<OutboxEntry>, state: Item["state"]): void {
    item.entry = { ...item.entry, ...change };
    item.state = state;
    this.#storage.put("outbox", item.entry.clientMsgId, item.entry);
    this.#events.changed(item.entry.conversationId);
    this.#events.tell({ kind: "put", entry: item.entry });
  }

  /** Lets go of what is committed and stands in the log. */
  #sweep(lane: Lane): void {
    lane.items = lane.items.filter((item) => item.state !== "committed" || item.seq > lane.tail);
  }

  #remove(lane: Lane, item: Item): void {
    lane.items = lane.items.filter((i) => i !== item);
    this.#events.changed(item.entry.conversationId);
  }

  #lane(conversationId: string): Lane {
    let lane = this.#lanes.get(conversationId);
    if (!lane) {
      lane = {
        items: [],
        inFlight: 0,
        tail: 0,
        stalled: false,
        backoff: new Backoff(100, 10_000),
        timer: new Timer(this.#clock),
      };
      this.#lanes.set(conversationId, lane);
    }
    return lane;
  }
}

function isUnderWay({ state, seq }: Item): boolean {
  return seq === 0 && (state === "queued" || state === "in flight");
}

/** Sends of one conversation without a reply. */
const WINDOW = 32;
const POLL_MS = 50;
