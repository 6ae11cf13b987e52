// A small server in memory that speaks the contract's frames: logs, marks, sync, the ordered lane, subscriptions.
// It is the other side of the tests, never a stand-in for the client.

import { create, type DescMessage, fromBinary, type MessageInitShape, toBinary } from "@bufbuild/protobuf";
import { CloseCode } from "../src/errors.ts";
import { ConversationSchema, type Head, HeadSchema } from "../src/gen/gogochat/v1/chat_pb.ts";
import { ConversationKind, type Event, EventSchema } from "../src/gen/gogochat/v1/event_pb.ts";
import { PersonSchema } from "../src/gen/gogochat/v1/person_pb.ts";
import { type Call, ClientFrameSchema, type ServerFrame, ServerFrameSchema } from "../src/gen/gogochat/v1/realtime_pb.ts";
import { ContactState } from "../src/gen/gogochat/v1/social_pb.ts";
import * as methods from "../src/methods.ts";
import type { PeerConnection, PeerHandle } from "./wire.ts";

interface Session {
  readonly handle: PeerHandle;
  user: string;
  device: string;
  /** It wants to be told how far all others have got. */
  aggregates: boolean;
  /** Conversations whose lane waits for a refused message. */
  readonly blocked: Map<string, string>;
}

interface Chat {
  readonly id: string;
  readonly group: boolean;
  readonly members: Set<string>;
  readonly events: Event[];
  readonly marks: Map<string, { delivered: number; read: number }>;
  /** When it last moved, of all moves; when its last event came. */
  moved: number;
  order: number;
}

type Frame = NonNullable<MessageInitShape<typeof ServerFrameSchema>["frame"]>;

/** The server of a test. */
export class Peer {
  readonly chats = new Map<string, Chat>();
  readonly own = new Map<string, Event[]>();
  readonly sessions = new Set<Session>();
  /** Who asked whom, or is a contact of whom: "user/user". */
  readonly asked = new Set<string>();
  readonly contacts = new Set<string>();
  /** Tokens and whose they are: "user/device". */
  readonly tokens = new Map<string, string>();
  /** Asked before each send; an error code refuses it. */
  refuse: (text: string) => { code: string; retryAfterMs: number } | undefined = () => undefined;
  /** Asked before each new session; a close code refuses it. */
  unwelcome: () => { code: number; retryAfterMs: number } | undefined = () => undefined;
  /** Commits, but says nothing: the reply is lost. */
  muteReplies = false;
  /** The history that it tells; empty, as the release before: it tells neither epochs, positions nor orders. */
  epoch = "one";
  /** How many conversations each Sync was told of, and how many it brought. */
  readonly syncs: { known: number; position: number; brought: number }[] = [];
  /** How often each method was called. */
  readonly calls = new Map<string, number>();
  readonly marksFrames: number[] = [];
  /** What was told of typing: who, and whether they had stopped. */
  readonly typing: [string, boolean][] = [];
  hellos = 0;
  /** The tickets that were shown, by sessions that began. */
  readonly tickets: number[][] = [];
  #ids = 0;
  #moves = 1_000_000_000_000;

  readonly accept = (handle: PeerHandle): PeerConnection => {
    const session: Session = { handle, user: "", device: "", aggregates: false, blocked: new Map() };
    return {
      received: (bytes) => this.#receive(session, bytes),
      ended: () => this.sessions.delete(session),
    };
  };

  /** A device with a token. */
  token(user: string, device: string): string {
    const token = `${user}/${device}/${++this.#ids}`;
    this.tokens.set(token, `${user}/${device}`);
    if (!this.own.has(user)) this.own.set(user, []);
    return token;
  }

  /** A conversation of these users. */
  chat(id: string, group: boolean, ...members: string[]): Chat {
    const chat: Chat = { id, group, members: new Set(members), events: [], marks: new Map(), moved: 0, order: 0 };
    for (const member of members) chat.marks.set(member, { delivered: 0, read: 0 });
    this.chats.set(id, chat);
    this.append(chat, members[0] ?? "", "", "", {
      case: "conversationCreated",
      value: {
        kind: group ? ConversationKind.GROUP : ConversationKind.DIRECT,
        title: group ? id : "",
        memberIds: members,
        memberCount: members.length,
      },
    });
    for (const user of members) {
      this.tell(user, { case: "conversationJoined", value: { conversationId: id, fromSeq: 1n } });
    }
    return chat;
  }

  /** Commits an event to a conversation and fans it out. */
  append(chat: Chat, sender: string, device: string, clientMsgId: string, body: MessageInitShape<typeof EventSchema>["body"]): Event {
    const event = create(EventSchema, {
      logId: chat.id,
      seq: BigInt(chat.events.length + 1),
      timeMs: BigInt(1_700_000_000_000 + chat.events.length),
      senderId: sender,
      deviceId: device,
      clientMsgId,
      ...(body && { body }),
    });
    chat.events.push(event);
    // Whoever sends has read what stands before it, and the event alone tells of it.
    const mark = chat.marks.get(sender);
    if (mark && event.body.case === "message") mark.read = mark.delivered = chat.events.length;
    chat.moved = chat.order = ++this.#moves;
    for (const session of this.sessions) {
      if (chat.members.has(session.user)) this.#send(session, { case: "event", value: event });
    }
    return event;
  }

  /** Says something as if by another client. */
  say(chatId: string, sender: string, text: string): Event {
    const chat = this.chats.get(chatId);
    if (!chat) throw new Error("no such chat");
    return this.append(chat, sender, "elsewhere", `${sender}-${++this.#ids}`, { case: "message", value: { text } });
  }

  /** Appends to a user's own log. */
  tell(user: string, body: NonNullable<MessageInitShape<typeof EventSchema>["body"]>): void {
    const log = this.own.get(user) ?? [];
    this.own.set(user, log);
    const event = create(EventSchema, { logId: user, seq: BigInt(log.length + 1), timeMs: 1n, body });
    log.push(event);
    for (const session of this.sessions) if (session.user === user) this.#send(session, { case: "event", value: event });
  }

  /** The texts of a conversation, in order. */
  texts(chatId: string): string[] {
    return (this.chats.get(chatId)?.events ?? []).flatMap(({ body }) => (body.case === "message" ? [body.value.text] : []));
  }

  /** Ends all sessions of a user with a close code. */
  close(user: string, code: number, retryAfterMs = 0): void {
    for (const session of [...this.sessions]) if (session.user === user) this.#close(session, code, retryAfterMs);
  }

  /** Sends a frame to every session of a user. */
  push(user: string, frame: Frame): void {
    for (const session of this.sessions) if (session.user === user) this.#send(session, frame);
  }

  #receive(session: Session, bytes: Uint8Array): void {
    const { frame } = fromBinary(ClientFrameSchema, bytes);
    switch (frame.case) {
      case "hello": {
        const who = this.tokens.get(frame.value.accessToken);
        if (!who) return this.#close(session, CloseCode.TokenExpired);
        this.hellos++;
        // A further Hello renews the token and is not answered.
        if (this.sessions.has(session)) return;
        const unwelcome = this.unwelcome();
        if (unwelcome) return this.#close(session, unwelcome.code, unwelcome.retryAfterMs);
        this.tickets.push([...frame.value.ticket]);
        [session.user = "", session.device = ""] = who.split("/");
        session.aggregates = frame.value.aggregateMarks;
        this.sessions.add(session);
        return this.#send(session, {
          case: "welcome",
          value: {
            sessionId: String(++this.#ids),
            userId: session.user,
            deviceId: session.device,
            ownSeq: BigInt(this.own.get(session.user)?.length ?? 0),
            heartbeatMs: 15_000,
            ticket: Uint8Array.of(this.tickets.length),
            epoch: this.epoch,
          },
        });
      }
      case "ping":
        return this.#send(session, { case: "pong", value: { nonce: frame.value.nonce } });
      case "call":
        return this.#call(session, frame.value);
      case "marks":
        this.marksFrames.push(frame.value.marks.length);
        for (const mark of frame.value.marks) {
          this.mark(mark.conversationId, session.user, Number(mark.deliveredSeq), Number(mark.readSeq));
        }
        return;
      case "ephemeral": {
        const { conversationId, kind } = frame.value;
        if (kind.case === "typing") this.typing.push([session.user, kind.value.stopped]);
        for (const other of this.sessions) {
          if (other.user === session.user || !this.chats.get(conversationId)?.members.has(other.user)) continue;
          this.#send(other, { case: "ephemeral", value: { conversationId, userId: session.user, kind } });
        }
        return;
      }
      default:
        return;
    }
  }

  mark(chatId: string, user: string, delivered: number, read: number): void {
    const chat = this.chats.get(chatId);
    const mark = chat?.marks.get(user);
    if (!chat || !mark) return;
    mark.read = Math.max(mark.read, read);
    mark.delivered = Math.max(mark.delivered, delivered, mark.read);
    chat.moved = ++this.#moves;
    for (const session of this.sessions) {
      if (!chat.members.has(session.user)) continue;
      if (session.aggregates && this.epoch !== "") {
        const { othersDeliveredSeq = 0n, othersReadSeq = 0n } = this.#view(chat, session.user).head ?? {};
        const own = session.user === user && { userId: user, deliveredSeq: BigInt(mark.delivered), readSeq: BigInt(mark.read) };
        this.#send(session, { case: "watermark", value: { conversationId: chatId, ...own, othersDeliveredSeq, othersReadSeq } });
        continue;
      }
      this.#send(session, {
        case: "watermark",
        value: {
          conversationId: chatId,
          userId: user,
          deliveredSeq: BigInt(mark.delivered),
          readSeq: BigInt(mark.read),
        },
      });
    }
  }

  #call(session: Session, call: Call): void {
    const name = call.method.split("/")[1] ?? "";
    this.calls.set(name, (this.calls.get(name) ?? 0) + 1);
    const reply = <O extends DescMessage>(method: methods.Method<DescMessage, O>, value: MessageInitShape<O>) =>
      this.#send(session, {
        case: "reply",
        value: { id: call.id, body: toBinary(method.output, create(method.output, value)) },
      });
    const fail = (code: string, retryAfterMs = 0) =>
      this.#send(session, {
        case: "reply",
        value: { id: call.id, error: { code, message: code, retryAfterMs: BigInt(retryAfterMs) } },
      });
    switch (name) {
      case "SendMessage": {
        const request = fromBinary(methods.SendMessage.input, call.body);
        const chat = this.chats.get(request.conversationId);
        if (!chat?.members.has(session.user)) return fail("not_a_member");
        const waits = session.blocked.get(chat.id);
        if (waits && waits !== request.clientMsgId) return fail("out_of_order", 50);
        const refusal = this.refuse(request.text);
        if (refusal) {
          if (refusal.retryAfterMs > 0) session.blocked.set(chat.id, request.clientMsgId);
          return fail(refusal.code, refusal.retryAfterMs);
        }
        session.blocked.delete(chat.id);
        const before = chat.events.find(
          (e) => e.clientMsgId === request.clientMsgId && e.senderId === session.user && e.deviceId === session.device,
        );
        const event =
          before ??
          this.append(chat, session.user, session.device, request.clientMsgId, {
            case: "message",
            value: { text: request.text },
          });
        if (this.muteReplies) return;
        return reply(methods.SendMessage, { seq: event.seq, timeMs: event.timeMs, duplicate: before !== undefined });
      }
      case "ListEvents": {
        const request = fromBinary(methods.ListEvents.input, call.body);
        const log = this.own.get(request.conversationId);
        if (log && request.conversationId === session.user) return reply(methods.ListEvents, { lastSeq: BigInt(log.length) });
        const chat = this.chats.get(request.conversationId);
        if (!chat?.members.has(session.user)) return fail("not_a_member");
        const limit = request.limit || 100;
        const last = chat.events.length;
        const { case: kind, value = 0n } = request.from;
        const at = Number(value);
        const events =
          kind === "afterSeq"
            ? chat.events.slice(at, at + limit)
            : chat.events.slice(0, at === 0 ? last : at - 1).slice(-limit);
        return reply(methods.ListEvents, { events, more: false, lastSeq: BigInt(last) });
      }
      case "GetConversation": {
        const { conversationId } = fromBinary(methods.GetConversation.input, call.body);
        const chat = this.chats.get(conversationId);
        if (!chat?.members.has(session.user)) return fail("not_a_member");
        return reply(methods.GetConversation, this.#view(chat, session.user));
      }
      case "ListMembers": {
        const { conversationId } = fromBinary(methods.ListMembers.input, call.body);
        const chat = this.chats.get(conversationId);
        if (!chat?.members.has(session.user)) return fail("not_a_member");
        const members = [...chat.members].map((id) => ({
          person: person(id),
          deliveredSeq: BigInt(chat.marks.get(id)?.delivered ?? 0),
          readSeq: BigInt(chat.marks.get(id)?.read ?? 0),
        }));
        return reply(methods.ListMembers, { members });
      }
      case "Sync": {
        const request = fromBinary(methods.Sync.input, call.body);
        const own = this.own.get(session.user) ?? [];
        if (Number(request.ownSeq) > own.length) return fail("cursor_from_future");
        const known = new Map(request.known.map((head) => [head.conversationId, head]));
        const mine = [...this.chats.values()].filter((chat) => chat.members.has(session.user));
        const page = own.slice(Number(request.ownSeq), Number(request.ownSeq) + 200);
        const position = this.epoch ? Number(request.position) : 0;
        const conversations = mine
          .filter((chat) => chat.moved > position)
          .map((chat) => this.#view(chat, session.user))
          .filter(({ head }) => position > 0 || moved(head, known));
        this.syncs.push({ known: known.size, position, brought: conversations.length });
        return reply(methods.Sync, {
          epoch: this.epoch,
          position: this.epoch ? BigInt(this.#moves) : 0n,
          ownEvents: page,
          ownMore: Number(request.ownSeq) + page.length < own.length,
          ownLastSeq: BigInt(own.length),
          conversations,
          gone: [...known.keys()].filter((id) => !mine.some((chat) => chat.id === id)),
        });
      }
      case "RequestContact": {
        const { userId } = fromBinary(methods.RequestContact.input, call.body);
        const [mine, theirs] = [`${session.user}/${userId}`, `${userId}/${session.user}`];
        if (this.contacts.has(mine)) return fail("already_contact");
        const state = this.asked.has(theirs) ? ContactState.ACCEPTED : ContactState.REQUESTED;
        if (state === ContactState.REQUESTED) this.asked.add(mine);
        else {
          this.contacts.add(mine).add(theirs);
          this.tell(session.user, { case: "contactAccepted", value: { peer: person(userId), conversationId: "direct" } });
        }
        if (this.muteReplies) return;
        return reply(methods.RequestContact, { state });
      }
      case "RemoveContact": {
        const { userId } = fromBinary(methods.RemoveContact.input, call.body);
        if (!this.contacts.delete(`${session.user}/${userId}`)) return fail("not_found");
        this.contacts.delete(`${userId}/${session.user}`);
        this.tell(session.user, { case: "contactRemoved", value: { peerId: userId } });
        if (this.muteReplies) return;
        return reply(methods.RemoveContact, {});
      }
      case "ListContacts":
        return reply(methods.ListContacts, { contacts: [] });
      case "GetPeople": {
        const { userIds } = fromBinary(methods.GetPeople.input, call.body);
        return reply(methods.GetPeople, { people: userIds.map(person) });
      }
      case "GetPresence":
        return reply(methods.GetPresence, { presences: [] });
      case "LeaveGroup": {
        const { conversationId } = fromBinary(methods.LeaveGroup.input, call.body);
        const chat = this.chats.get(conversationId);
        if (!chat?.members.has(session.user)) return fail("not_a_member");
        this.append(chat, session.user, session.device, "", { case: "memberLeft", value: { userId: session.user } });
        chat.members.delete(session.user);
        this.tell(session.user, { case: "conversationLeft", value: { conversationId } });
        return reply(methods.LeaveGroup, {});
      }
      default:
        return fail("unknown_method");
    }
  }

  #view(chat: Chat, user: string) {
    const mark = chat.marks.get(user) ?? { delivered: 0, read: 0 };
    const others = [...chat.marks].filter(([id]) => id !== user && chat.members.has(id)).map(([, m]) => m);
    const lowest = (of: (m: { delivered: number; read: number }) => number) => Math.min(...others.map(of));
    const unread = chat.events.filter((e) => Number(e.seq) > mark.read && e.senderId !== user && e.body.case === "message");
    const peer = [...chat.members].find((id) => id !== user);
    return create(ConversationSchema, {
      id: chat.id,
      kind: chat.group ? ConversationKind.GROUP : ConversationKind.DIRECT,
      title: chat.group ? chat.id : "",
      ...(!chat.group && peer && { peer: person(peer) }),
      memberCount: chat.members.size,
      head: create(HeadSchema, {
        conversationId: chat.id,
        lastSeq: BigInt(chat.events.length),
        deliveredSeq: BigInt(mark.delivered),
        readSeq: BigInt(mark.read),
        othersDeliveredSeq: BigInt(others.length > 0 ? lowest((m) => m.delivered) : 0),
        othersReadSeq: BigInt(others.length > 0 ? lowest((m) => m.read) : 0),
        unread: Math.min(unread.length, 1_000),
      }),
      ...(chat.events.at(-1) && { lastEvent: chat.events.at(-1) as Event }),
      fromSeq: 1n,
      writable: true,
      order: this.epoch ? BigInt(chat.order) : 0n,
    });
  }

  #send(session: Session, frame: Frame): void {
    session.handle.send(toBinary(ServerFrameSchema, create(ServerFrameSchema, { frame }) as ServerFrame));
  }

  #close(session: Session, code: number, retryAfterMs = 0): void {
    this.#send(session, { case: "close", value: { code, reason: String(code), reconnect: code >= 4100, retryAfterMs } });
    session.handle.close({ code, reason: String(code) });
    this.sessions.delete(session);
  }
}

function person(id: string) {
  return create(PersonSchema, { id, name: id, displayName: id.toUpperCase() });
}

function moved(head: Head | undefined, known: ReadonlyMap<string, Head>): boolean {
  const had = head && known.get(head.conversationId);
  if (!head || !had) return true;
  return (["lastSeq", "deliveredSeq", "readSeq", "othersDeliveredSeq", "othersReadSeq"] as const).some((f) => had[f] !== head[f]);
}
