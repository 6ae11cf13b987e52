import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import { base64Decode } from "@bufbuild/protobuf/wire";
import { describe, expect, it } from "vitest";
import { ListEventsRequestSchema } from "../src/gen/gogochat/v1/chat_pb.ts";
import { EventSchema } from "../src/gen/gogochat/v1/event_pb.ts";
import { ServerFrameSchema } from "../src/gen/gogochat/v1/realtime_pb.ts";

// Bytes by hand, from the .proto files: field numbers and wire types (protobuf encoding).
describe("generated messages", () => {
  it("have the bytes that the contract says", () => {
    const event = create(EventSchema, { logId: "c", seq: 300n, body: { case: "message", value: { text: "hi" } } });
    expect([...toBinary(EventSchema, event)]).toEqual([0x0a, 1, 0x63, 0x10, 0xac, 0x02, 0x52, 4, 0x0a, 2, 0x68, 0x69]);
    const request = create(ListEventsRequestSchema, { from: { case: "afterSeq", value: 0n } });
    // A oneof is present although it is 0.
    expect([...toBinary(ListEventsRequestSchema, request)]).toEqual([0x10, 0]);
  });

  it("read what another encoder wrote, also repeated and nested fields and enums", () => {
    // ServerFrame{event{log_id:"g" seq:1 conversation_created{kind:GROUP title:"T" member_ids:["a","b"] member_count:2}}}
    const { frame } = fromBinary(ServerFrameSchema, base64Decode("GhYKAWcQAVoPCAISAVQaAWEaAWIgAioA"));
    expect(frame).toMatchObject({
      case: "event",
      value: {
        logId: "g",
        seq: 1n,
        body: { case: "conversationCreated", value: { kind: 2, title: "T", memberIds: ["a", "b"], memberCount: 2 } },
      },
    });
  });

  it("keep what they do not know", () => {
    const bytes = new Uint8Array([0x0a, 1, 0x63, 0x9a, 0x06, 1, 0x07]);
    expect([...toBinary(EventSchema, fromBinary(EventSchema, bytes))]).toEqual([...bytes]);
  });
});
