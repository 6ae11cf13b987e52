import { create, fromBinary, type MessageInitShape, toBinary } from "@bufbuild/protobuf";
import { describe, expect, it } from "vitest";
import { GogochatError } from "../src/errors.ts";
import { type ClientFrame, ClientFrameSchema, ServerFrameSchema } from "../src/gen/gogochat/v1/realtime_pb.ts";
import { GetConversation } from "../src/methods.ts";
import { Session, type SessionEvents } from "../src/session.ts";
import type { TransportEvents } from "../src/transport/transport.ts";
import { ManualClock } from "./clock.ts";

function setUp() {
  const clock = new ManualClock();
  const sent: ClientFrame["frame"][] = [];
  const reported: unknown[] = [];
  let transport!: TransportEvents;
  const report = (name: string) => (value: unknown) => void reported.push([name, value]);
  const events: SessionEvents = {
    welcome: report("welcome"),
    event: report("event"),
    ephemeral: report("ephemeral"),
    watermark: report("watermark"),
    resync: report("resync"),
    drain: report("drain"),
    ticket: () => {},
    rtt: report("rtt"),
    silent: report("silent"),
    closed: report("closed"),
  };
  const send = (bytes: Uint8Array) => void sent.push(fromBinary(ClientFrameSchema, bytes).frame);
  const session = new Session(
    (on) => {
      transport = on;
      return { kind: "websocket", send, sendLossy: send, sendAside: send, close: () => {} };
    },
    "token",
    new Uint8Array(0),
    "test/1",
    clock,
    events,
  );
  const receive = (frame: NonNullable<MessageInitShape<typeof ServerFrameSchema>["frame"]>) =>
    transport.frame(toBinary(ServerFrameSchema, create(ServerFrameSchema, { frame })));
  const open = () => {
    transport.opened();
    receive({ case: "welcome", value: { sessionId: "s", heartbeatMs: 15_000 } });
  };
  const pings = () => sent.filter((frame) => frame.case === "ping").length;
  return { clock, sent, reported, session, receive, open, transport: () => transport, pings };
}

describe("a session", () => {
  it("says hello first and nothing before", async () => {
    const { sent, open, session } = setUp();
    expect(sent).toEqual([]);
    session.send({ case: "marks", value: {} });
    expect(sent).toEqual([]);
    open();
    expect(sent[0]).toMatchObject({ case: "hello", value: { accessToken: "token", client: "test/1" } });
    expect(session.open).toBe(true);
  });

  it("gives up when it is not welcomed in time", async () => {
    const { clock, reported } = setUp();
    await clock.advance(10_000);
    expect(reported).toEqual([["closed", { code: 0, reason: "not open in time" }]]);
  });

  it("answers pings with their nonce", () => {
    const { open, receive, sent } = setUp();
    open();
    receive({ case: "ping", value: { nonce: 2n ** 63n } });
    expect(sent.at(-1)).toMatchObject({ case: "pong", value: { nonce: 2n ** 63n } });
  });

  it("matches replies to calls in any order, and errors to theirs", async () => {
    const { open, receive, session } = setUp();
    open();
    const first = session.call(GetConversation, { conversationId: "a" });
    const second = session.call(GetConversation, { conversationId: "b" });
    receive({ case: "reply", value: { id: 2, body: toBinary(GetConversation.output, create(GetConversation.output, { id: "b" })) } });
    receive({ case: "reply", value: { id: 1, error: { code: "not_a_member", message: "no" } } });
    expect((await second).id).toBe("b");
    await expect(first).rejects.toMatchObject({ code: "not_a_member" });
  });

  it("keeps at most 128 calls under way; the rest waits its turn", async () => {
    const { open, receive, session, sent } = setUp();
    open();
    const all = Array.from({ length: 130 }, () => session.call(GetConversation, {}));
    const calls = () => sent.filter((frame) => frame.case === "call").length;
    expect(calls()).toBe(128);
    for (let id = 1; id <= 130; id++) receive({ case: "reply", value: { id } });
    await Promise.all(all);
    expect(calls()).toBe(130);
  });

  it("fails what waits when it ends, and what comes after", async () => {
    const { open, session, transport, reported } = setUp();
    open();
    const waiting = session.call(GetConversation, {});
    transport().closed({ code: 4102, reason: "draining" });
    await expect(waiting).rejects.toMatchObject({ code: "connection_lost", retryable: true });
    await expect(session.call(GetConversation, {})).rejects.toBeInstanceOf(GogochatError);
    expect(reported.at(-1)).toEqual(["closed", { code: 4102, reason: "draining" }]);
  });

  it("takes the code of the Close frame over that of the transport", () => {
    const { open, receive, transport, reported } = setUp();
    open();
    receive({ case: "close", value: { code: 4005, reason: "signed_out" } });
    transport().closed({ code: 0, reason: "abnormal" });
    expect(reported.at(-1)).toEqual(["closed", { code: 4005, reason: "signed_out", retryAfterMs: 0 }]);
  });

  it("gives a call without a reply 15 s, and ignores the reply that comes later", async () => {
    const { open, receive, session, clock } = setUp();
    open();
    const failing = session.call(GetConversation, {}).catch((error) => error);
    // Something else keeps coming: the connection itself is alive.
    for (let i = 0; i < 16; i++) {
      await clock.advance(1_000);
      receive({ case: "pong", value: { nonce: 0n } });
    }
    expect(await failing).toMatchObject({ code: "deadline_exceeded" });
    receive({ case: "reply", value: { id: 1 } });
    expect(session.open).toBe(true);
  });

  it("pings a quiet connection within 1.2 s, and not a busy one", async () => {
    const { open, receive, clock, pings, sent } = setUp();
    open();
    receive({ case: "pong", value: { nonce: 1n } });
    const before = pings();
    for (let i = 0; i < 10; i++) {
      await clock.advance(1_000);
      receive({ case: "event", value: { logId: "c", seq: BigInt(i) } });
    }
    expect(pings()).toBe(before);
    await clock.advance(1_200);
    expect(pings()).toBe(before + 1);
    expect(sent.at(-1)?.case).toBe("ping");
  });

  it("reports silence after 3 s without an answer, its end, and death after 45 s", async () => {
    const { open, receive, clock, reported } = setUp();
    open();
    const silences = () => reported.filter((entry) => (entry as string[])[0] === "silent");
    await clock.advance(2_999);
    expect(silences()).toEqual([]);
    await clock.advance(1);
    expect(silences()).toEqual([["silent", true]]);
    receive({ case: "pong", value: { nonce: 1n } });
    expect(silences()).toEqual([["silent", true], ["silent", false]]);
    await clock.advance(60_000);
    expect(reported.at(-1)).toEqual(["closed", { code: 0, reason: "silent" }]);
  });

  it("ends at bytes that are no frame", () => {
    const { open, transport, reported } = setUp();
    open();
    transport().frame(new Uint8Array([0xff, 0xff, 0xff]));
    expect(reported.at(-1)).toEqual(["closed", { code: 0, reason: "bytes that are no frame" }]);
  });
});
