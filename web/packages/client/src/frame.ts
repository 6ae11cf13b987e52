// Frames on a stream of bytes: each is preceded by its length, a protobuf varint. A WebSocket message holds one or more in the same form.

import { create, fromBinary, type MessageInitShape, toBinary } from "@bufbuild/protobuf";
import { type ClientFrame, ClientFrameSchema, type ServerFrame, ServerFrameSchema } from "./gen/gogochat/v1/realtime_pb.ts";

/** The largest encoded frame, without its length. */
export const MAX_FRAME = 64 * 1024;

/** One frame of a client, as `create` takes it. */
export type ClientFrameInit = NonNullable<MessageInitShape<typeof ClientFrameSchema>["frame"]>;

/** An encoded client frame, without a length: what a datagram holds. */
export function encodeFrame(frame: ClientFrameInit): Uint8Array<ArrayBuffer> {
  return toBinary(ClientFrameSchema, create(ClientFrameSchema, { frame }) as ClientFrame);
}

/** A server's frame from its bytes; throws when they are none. An unknown kind has `case: undefined`. */
export function decodeFrame(bytes: Uint8Array): ServerFrame["frame"] {
  return fromBinary(ServerFrameSchema, bytes).frame;
}

/** Puts the length in front of an encoded frame. */
export function delimit(frame: Uint8Array): Uint8Array<ArrayBuffer> {
  const prefix: number[] = [];
  let length = frame.length;
  while (length > 0x7f) {
    prefix.push((length & 0x7f) | 0x80);
    length >>>= 7;
  }
  prefix.push(length);
  const out = new Uint8Array(prefix.length + frame.length);
  out.set(prefix);
  out.set(frame, prefix.length);
  return out;
}

/** Cuts received bytes into frames. Holds at most one unfinished frame, whatever comes. */
export class FrameDecoder {
  #buffer = new Uint8Array(0);

  /** Takes received bytes and gives the frames that are whole now, without their lengths. Throws when the bytes cannot become a frame. */
  push(bytes: Uint8Array): Uint8Array[] {
    const buffer = this.#buffer.length === 0 ? bytes : concat(this.#buffer, bytes);
    const frames: Uint8Array[] = [];
    let at = 0;
    for (;;) {
      const prefix = readLength(buffer, at);
      if (!prefix) break;
      if (prefix.length > MAX_FRAME) throw new Error(`a frame of ${prefix.length} bytes: the limit is ${MAX_FRAME}`);
      if (buffer.length - prefix.end < prefix.length) break;
      at = prefix.end + prefix.length;
      frames.push(buffer.subarray(prefix.end, at));
    }
    this.#buffer = buffer.slice(at);
    return frames;
  }
}

function readLength(buffer: Uint8Array, at: number): { length: number; end: number } | undefined {
  let length = 0;
  for (let i = 0; i < 5; i++) {
    const byte = buffer[at + i];
    if (byte === undefined) return undefined;
    length += (byte & 0x7f) * 2 ** (7 * i);
    if (byte < 0x80) return { length, end: at + i + 1 };
  }
  throw new Error("not a frame");
}

function concat(a: Uint8Array, b: Uint8Array): Uint8Array<ArrayBuffer> {
  const out = new Uint8Array(a.length + b.length);
  out.set(a);
  out.set(b, a.length);
  return out;
}
