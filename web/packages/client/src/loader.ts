// Fetches what the replica lacks: events, conversations, members, presence, names.

import type { MessageInitShape } from "@bufbuild/protobuf";
import type { Calls } from "./calls.ts";
import { type Clock, Timer } from "./clock.ts";
import type { Whereabouts } from "./ephemeral.ts";
import type { FetchPage } from "./log.ts";
import * as methods from "./methods.ts";
import { toConversation, toEvent, toMember, toPerson } from "./model.ts";
import type { Replica } from "./replica.ts";
import type { Storage } from "./storage/storage.ts";
import type { Timeline } from "./timeline.ts";

/** What a loader works with. */
export interface LoaderOptions {
  readonly calls: Calls;
  readonly clock: Clock;
  readonly storage: Storage;
  readonly whereabouts: Whereabouts;
  readonly me: string;
  /** Made after the loader: each asks the other. */
  replica(): Replica;
}

/** Fetches for a replica. */
export class Loader {
  readonly #o: LoaderOptions;
  readonly #naming: Timer;
  readonly #strangers = new Set<string>();
  readonly #refreshing = new Set<string>();

  constructor(options: LoaderOptions) {
    this.#o = options;
    this.#naming = new Timer(options.clock);
  }

  get #replica(): Replica {
    return this.#o.replica();
  }

  /** Pages of a conversation's log. */
  pages(conversationId: string): FetchPage {
    return async (from, limit) => {
      const request: MessageInitShape<(typeof methods.ListEvents)["input"]> = {
        conversationId,
        limit,
        from:
          "after" in from
            ? { case: "afterSeq", value: BigInt(from.after) }
            : { case: "beforeSeq", value: BigInt(from.before) },
      };
      const page = await this.#o.calls.call(methods.ListEvents, request, { aside: true });
      return { events: page.events.map(toEvent), lastSeq: Number(page.lastSeq) };
    };
  }

  /** Fetches the end of a conversation's log. */
  async catchUp(id: string): Promise<void> {
    const conversation = this.#replica.conversation(id);
    if (conversation) await this.#replica.log(id).catchUp(conversation.lastSeq);
  }

  /**
   * Fills a timeline that was opened for the first time: around the first unread message where
   * there is one, else with the newest.
   */
  async open(id: string, timeline: Timeline): Promise<void> {
    timeline.hold(true);
    const place = () => {
      const conversation = this.#replica.conversation(id);
      return conversation && conversation.unread > 0 ? Math.max(conversation.readSeq + 1, conversation.fromSeq) : undefined;
    };
    const at = place();
    // What is on the device shows at once; in front of that nothing is taken away any more.
    let shown = await timeline.open(at).catch(() => false);
    await this.catchUp(id);
    const now = place();
    shown ||= await timeline.open(now).catch(() => false);
    timeline.hold(false);
    if (!shown) await timeline.open().catch(() => false);
    const conversation = this.#replica.conversation(id);
    const missing = conversation !== undefined && this.#replica.log(id).tail < conversation.lastSeq;
    timeline.opened(missing ? "offline" : undefined);
    if (conversation?.group) await this.members(id).catch(() => {});
  }

  /** Reads a conversation anew. Rejects when it cannot. */
  async load(conversationId: string): Promise<void> {
    this.#replica.merge(toConversation(await this.#o.calls.call(methods.GetConversation, { conversationId }), true));
    await this.catchUp(conversationId);
  }

  /** Reads a conversation anew, once at a time. */
  refresh(id: string): void {
    if (this.#refreshing.has(id)) return;
    this.#refreshing.add(id);
    void this.load(id)
      .catch(() => {})
      .finally(() => this.#refreshing.delete(id));
  }

  /** Reads the members of a conversation: of large ones, the first. */
  async members(conversationId: string): Promise<void> {
    const request = { conversationId, limit: MAX_MEMBERS };
    const page = await this.#o.calls.call(methods.ListMembers, request, { aside: true });
    const members = page.members.map(toMember).filter((member) => member !== undefined);
    this.#replica.meet(members.map((member) => member.person));
    this.#replica.members(conversationId).set(members);
    this.#replica.lowestMarks(conversationId);
  }

  /** Asks who of these is connected. */
  async presence(userIds: readonly string[]): Promise<void> {
    for (let i = 0; i < userIds.length; i += MAX_PRESENCE) {
      const ids = userIds.slice(i, i + MAX_PRESENCE);
      const page = await this.#o.calls.call(methods.GetPresence, { userIds: ids }).catch(() => undefined);
      for (const { userId, presence } of page?.presences ?? []) {
        if (!presence) continue;
        this.#o.whereabouts.present(userId, { online: presence.online, lastSeenMs: Number(presence.lastSeenMs) });
      }
    }
  }

  /** Counts again what is unread, after a read mark that left something. */
  async recount(id: string): Promise<void> {
    const before = this.#replica.conversation(id);
    if (!before || before.readSeq >= before.lastSeq) return;
    const { readSeq, lastSeq } = before;
    const segment = this.#replica.log(id).newest;
    if (!segment || segment[0] > readSeq + 1 || segment[1] < lastSeq) return this.refresh(id);
    const events = await this.#o.storage.events(id, readSeq + 1, lastSeq);
    if (events.length < lastSeq - readSeq) return this.refresh(id);
    const unread = events.filter((event) => event.body.kind === "message" && event.senderId !== this.#o.me).length;
    const now = this.#replica.conversation(id);
    if (now?.readSeq === readSeq && now.lastSeq === lastSeq) this.#replica.change(id, { unread });
  }

  /** Asks for names, many at a time. */
  names(ids: readonly string[]): void {
    for (const id of ids) this.#strangers.add(id);
    if (this.#naming.armed) return;
    this.#naming.set(NAMING_MS, async () => {
      const userIds = [...this.#strangers].slice(0, MAX_PEOPLE);
      const page = await this.#o.calls.call(methods.GetPeople, { userIds }).catch(() => undefined);
      for (const id of userIds) this.#strangers.delete(id);
      if (page) this.#replica.renamed(page.people.map(toPerson));
      if (this.#strangers.size > 0) this.names([]);
    });
  }

  close(): void {
    this.#naming.clear();
  }
}

const NAMING_MS = 20;
/** Members on one page. */
const MAX_MEMBERS = 500;
/** Ids in one GetPeople. */
const MAX_PEOPLE = 100;
/** Ids in one GetPresence. */
const MAX_PRESENCE = 200;
