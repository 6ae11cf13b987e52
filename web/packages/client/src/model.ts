// What the page sees: plain values with numbers, made from the contract's messages at this boundary
// and nowhere else.

import { create } from "@bufbuild/protobuf";
import {
  type Conversation as PbConversation,
  type Head as PbHead,
  HeadSchema,
  type Member as PbMember,
} from "./gen/gogochat/v1/chat_pb.ts";
import {
  type Event as PbEvent,
  GroupHistory as PbHistory,
  GroupJoining as PbJoining,
  ConversationKind as PbKind,
  GroupPosting as PbPosting,
  MemberRole as PbRole,
} from "./gen/gogochat/v1/event_pb.ts";
import type { Person as PbPerson } from "./gen/gogochat/v1/person_pb.ts";
import { ContactState as PbContactState, type Contact as PbContact } from "./gen/gogochat/v1/social_pb.ts";

/** What anyone signed in may know of a user. */
export interface Person {
  readonly id: string;
  /** The unique name, lower case. */
  readonly name: string;
  readonly displayName: string;
  /** What they say of themselves in a line, if anything. */
  readonly signature?: string;
}

/** What an event of a conversation says. */
export type EventBody =
  | { readonly kind: "message"; readonly text: string }
  | { readonly kind: "created"; readonly group: boolean; readonly title: string; readonly memberIds: readonly string[] }
  | { readonly kind: "added"; readonly memberIds: readonly string[]; readonly count: number }
  | { readonly kind: "left"; readonly userId: string }
  | { readonly kind: "joined"; readonly userId: string }
  | { readonly kind: "removed"; readonly memberIds: readonly string[]; readonly count: number }
  | ({ readonly kind: "changed" } & GroupChange)
  | { readonly kind: "role"; readonly userId: string; readonly role: Role }
  | { readonly kind: "muted"; readonly userId: string; readonly untilMs: number }
  | { readonly kind: "dismissed" }
  | { readonly kind: "unknown" };

/** What a member may do in a group. */
export type Role = "member" | "admin" | "owner";

/** How a group is: who may write, what new members may read, and the least time between two messages of a member. */
export interface GroupSettings {
  readonly posting: "members" | "admins";
  readonly history: "from_join" | "all";
  readonly slowModeMs: number;
  /** How one comes in, beside being added: by an invite, or also by oneself. */
  readonly joining: "invite" | "open";
}

/** A change of a group: what is left out stays, an empty notice is none. */
export interface GroupChange extends Partial<GroupSettings> {
  readonly title?: string;
  readonly notice?: string;
}

/** One entry of a conversation's log. (logId, seq) names it for ever. */
export interface LogEvent {
  readonly logId: string;
  readonly seq: number;
  /** When it was committed, by the server's clock: for display alone. */
  readonly timeMs: number;
  readonly senderId: string;
  readonly deviceId: string;
  readonly clientMsgId: string;
  readonly body: EventBody;
}

/** A conversation as this user sees it. `read <= delivered <= lastSeq`. */
export interface Conversation {
  readonly id: string;
  readonly group: boolean;
  /** Of a group. */
  readonly title: string;
  /** Of a direct conversation: the other. */
  readonly peer: Person | undefined;
  readonly memberCount: number;
  readonly lastSeq: number;
  readonly deliveredSeq: number;
  readonly readSeq: number;
  /** The lowest marks among the others. */
  readonly othersDeliveredSeq: number;
  readonly othersReadSeq: number;
  /** Messages of others after readSeq. */
  readonly unread: number;
  readonly fromSeq: number;
  readonly writable: boolean;
  readonly lastEvent: LogEvent | undefined;
  /** When it last moved, by the server's clock: for display alone. */
  readonly activeMs: number;
  /**
   * Its place in the list, the greatest first: the order in which conversations moved, as the server
   * tells it; what came live is above all that was told. No clock is in it.
   */
  readonly order: number;
  /** Of a group: what this user may do; undefined where an older server, or version of this, has told it. */
  readonly role?: Role | undefined;
  /** Of a group, once its details were asked for. */
  readonly notice?: string | undefined;
  /** Of a group. */
  readonly settings?: GroupSettings | undefined;
  /** Until when this user may not write; 0: they may. */
  readonly mutedUntilMs?: number;
}

/** Something that somebody did with this user, as it came in. */
export type News =
  | { readonly kind: "requested"; readonly person: Person; readonly note: string }
  | { readonly kind: "accepted"; readonly person: Person; readonly conversationId: string }
  | { readonly kind: "joined"; readonly conversationId: string }
  | { readonly kind: "removed"; readonly title: string; readonly byId: string };

/** How this user and another stand. */
export type ContactState = "requested" | "incoming" | "accepted";

/** Somebody this user has to do with. */
export interface Contact {
  readonly person: Person;
  readonly state: ContactState;
  readonly note: string;
  readonly sinceMs: number;
  readonly conversationId: string;
}

/** A member of a conversation. */
export interface Member {
  readonly person: Person;
  readonly joinedMs: number;
  readonly deliveredSeq: number;
  readonly readSeq: number;
  readonly role: Role;
  /** Until when they may not write; 0: they may. */
  readonly mutedUntilMs: number;
}

/** Whether somebody is connected. */
export interface Presence {
  readonly online: boolean;
  /** 0 when unknown. */
  readonly lastSeenMs: number;
}

/** A signed-in device. */
export interface Device {
  readonly id: string;
  readonly name: string;
  readonly createdMs: number;
  readonly lastSeenMs: number;
  readonly current: boolean;
  /** From where it was signed in; empty when that is not known. */
  readonly address: string;
}

export function toPerson(p: PbPerson): Person {
  return { id: p.id, name: p.name, displayName: p.displayName || p.name, ...(p.signature && { signature: p.signature }) };
}

export function toEvent(e: PbEvent): LogEvent {
  return {
    logId: e.logId,
    seq: Number(e.seq),
    timeMs: Number(e.timeMs),
    senderId: e.senderId,
    deviceId: e.deviceId,
    clientMsgId: e.clientMsgId,
    body: toBody(e.body),
  };
}

function toBody(body: PbEvent["body"]): EventBody {
  switch (body.case) {
    case "message":
      return { kind: "message", text: body.value.text };
    case "conversationCreated": {
      const { kind, title, memberIds } = body.value;
      return { kind: "created", group: kind === PbKind.GROUP, title, memberIds };
    }
    case "membersAdded":
      return { kind: "added", memberIds: body.value.memberIds, count: body.value.count };
    case "memberLeft":
      return { kind: "left", userId: body.value.userId };
    case "memberJoined":
      return { kind: "joined", userId: body.value.userId };
    case "membersRemoved":
      return { kind: "removed", memberIds: body.value.memberIds, count: body.value.count };
    case "groupChanged": {
      const { title, notice, posting, history, slowModeMs, joining } = body.value;
      return {
        kind: "changed",
        ...(title !== undefined && { title }),
        ...(notice !== undefined && { notice }),
        ...(posting !== undefined && { posting: toPosting(posting) }),
        ...(history !== undefined && { history: toHistory(history) }),
        ...(slowModeMs !== undefined && { slowModeMs: Number(slowModeMs) }),
        ...(joining !== undefined && { joining: toJoining(joining) }),
      };
    }
    case "roleChanged":
      return { kind: "role", userId: body.value.userId, role: toRole(body.value.role) };
    case "memberMuted":
      return { kind: "muted", userId: body.value.userId, untilMs: Number(body.value.untilMs) };
    case "groupDismissed":
      return { kind: "dismissed" };
    default:
      return { kind: "unknown" };
  }
}

function toRole(role: PbRole): Role {
  return role === PbRole.OWNER ? "owner" : role === PbRole.ADMIN ? "admin" : "member";
}

function toPosting(posting: PbPosting): GroupSettings["posting"] {
  return posting === PbPosting.ADMINS ? "admins" : "members";
}

function toHistory(history: PbHistory): GroupSettings["history"] {
  return history === PbHistory.ALL ? "all" : "from_join";
}

function toJoining(joining: PbJoining): GroupSettings["joining"] {
  return joining === PbJoining.OPEN ? "open" : "invite";
}

/** `whole`: it was asked for alone, and has what lists leave out. */
export function toConversation(c: PbConversation, whole = false): Conversation {
  const head = c.head ?? create(HeadSchema);
  const lastEvent = c.lastEvent && toEvent(c.lastEvent);
  return {
    id: c.id,
    group: c.kind === PbKind.GROUP,
    title: c.title,
    peer: c.peer && toPerson(c.peer),
    memberCount: c.memberCount,
    lastSeq: Number(head.lastSeq),
    deliveredSeq: Number(head.deliveredSeq),
    readSeq: Number(head.readSeq),
    othersDeliveredSeq: Number(head.othersDeliveredSeq),
    othersReadSeq: Number(head.othersReadSeq),
    unread: head.unread,
    fromSeq: Number(c.fromSeq),
    writable: c.writable,
    lastEvent,
    activeMs: lastEvent?.timeMs ?? 0,
    order: Number(c.order),
    ...(c.role && {
      role: toRole(c.role),
      settings: {
        posting: toPosting(c.posting),
        history: toHistory(c.history),
        slowModeMs: Number(c.slowModeMs),
        joining: toJoining(c.joining),
      },
      mutedUntilMs: Number(c.mutedUntilMs),
    }),
    ...(whole && { notice: c.notice }),
  };
}

export function toHead(c: Conversation): PbHead {
  return create(HeadSchema, {
    conversationId: c.id,
    lastSeq: BigInt(c.lastSeq),
    deliveredSeq: BigInt(c.deliveredSeq),
    readSeq: BigInt(c.readSeq),
    othersDeliveredSeq: BigInt(c.othersDeliveredSeq),
    othersReadSeq: BigInt(c.othersReadSeq),
    unread: c.unread,
  });
}

export function toContact(c: PbContact): Contact | undefined {
  if (!c.person) return undefined;
  return {
    person: toPerson(c.person),
    state: toContactState(c.state),
    note: c.note,
    sinceMs: Number(c.sinceMs),
    conversationId: c.conversationId,
  };
}

export function toContactState(state: PbContactState): ContactState {
  if (state === PbContactState.ACCEPTED) return "accepted";
  return state === PbContactState.INCOMING ? "incoming" : "requested";
}

export function toMember(m: PbMember): Member | undefined {
  if (!m.person) return undefined;
  return {
    person: toPerson(m.person),
    joinedMs: Number(m.joinedMs),
    deliveredSeq: Number(m.deliveredSeq),
    readSeq: Number(m.readSeq),
    role: toRole(m.role),
    mutedUntilMs: Number(m.mutedUntilMs),
  };
}
