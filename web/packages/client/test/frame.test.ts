import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import { describe, expect, it } from "vitest";
import { decodeFrame, delimit, encodeFrame, FrameDecoder, MAX_FRAME } from "../src/frame.ts";
import { ClientFrameSchema, ServerFrameSchema } from "../src/gen/gogochat/v1/realtime_pb.ts";

describe("frames", () => {
  it("come out the same however the bytes are cut", () => {
    const nonces = [0n, 1n, 127n, 128n, 2n ** 40n, 2n ** 64n - 1n];
    const bytes = nonces.flatMap((nonce) => [...delimit(encodeFrame({ case: "ping", value: { nonce } }))]);
    for (let cut = 1; cut < 9; cut++) {
      const decoder = new FrameDecoder();
      const got: bigint[] = [];
      for (let at = 0; at < bytes.length; at += cut) {
        for (const frame of decoder.push(Uint8Array.from(bytes.slice(at, at + cut)))) {
          const { frame: message } = fromBinary(ClientFrameSchema, frame);
          if (message.case === "ping") got.push(message.value.nonce);
        }
      }
      expect(got).toEqual(nonces);
    }
  });

  it("have their length in front, a varint", () => {
    expect([...delimit(new Uint8Array(300)).slice(0, 2)]).toEqual([0xac, 0x02]);
    expect([...delimit(new Uint8Array(5)).slice(0, 1)]).toEqual([5]);
  });

  it("may have 64 KiB and no byte more", () => {
    expect(new FrameDecoder().push(delimit(new Uint8Array(MAX_FRAME)))[0]?.length).toBe(MAX_FRAME);
    expect(() => new FrameDecoder().push(delimit(new Uint8Array(MAX_FRAME + 1)).slice(0, 4))).toThrow();
  });

  it("refuse a length that is no varint", () => {
    expect(() => new FrameDecoder().push(new Uint8Array([0xff, 0xff, 0xff, 0xff, 0xff]))).toThrow();
  });

  it("of an unknown kind are passed over", () => {
    // Field 99, as a later server may have it.
    expect(decodeFrame(new Uint8Array([0x9a, 0x06, 0x01, 0x00])).case).toBeUndefined();
    const pong = toBinary(ServerFrameSchema, create(ServerFrameSchema, { frame: { case: "pong", value: { nonce: 7n } } }));
    expect(decodeFrame(pong)).toMatchObject({ case: "pong", value: { nonce: 7n } });
  });
});
