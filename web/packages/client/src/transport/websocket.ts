// Frames over a WebSocket, sub-protocol gogochat.v1.proto (RFC 6455).

import { FrameDecoder } from "../frame.ts";
import { type Dial, Gather } from "./transport.ts";

/** The part of the browser's WebSocket that is used; `ws` for Node has it too. */
export interface WebSocketLike {
  binaryType: string;
  readonly readyState: number;
  send(data: Uint8Array<ArrayBuffer>): void;
  close(code?: number, reason?: string): void;
  onopen: ((event: never) => void) | null;
  onmessage: ((event: never) => void) | null;
  onclose: ((event: never) => void) | null;
  onerror: ((event: never) => void) | null;
}

/** Makes WebSockets. */
export type WebSocketFactory = new (url: string, protocols: string[]) => WebSocketLike;

/** Dials `url` (ws: or wss:). */
export function webSocket(url: string, WebSocket: WebSocketFactory): Dial {
  return (events) => {
    const socket = new WebSocket(url, ["gogochat.v1.proto"]);
    const decoder = new FrameDecoder();
    const gather = new Gather((bytes) => {
      if (socket.readyState === OPEN) socket.send(bytes);
    });
    let over = false;
    const end = (code: number, reason: string) => {
      if (over) return;
      over = true;
      events.closed({ code, reason });
    };
    socket.binaryType = "arraybuffer";
    socket.onopen = () => over || events.opened();
    socket.onclose = (event: { code: number; reason: string }) => end(event.code >= 4000 ? event.code : 0, event.reason);
    socket.onerror = () => end(0, "the WebSocket failed");
    socket.onmessage = (event: { data: ArrayBuffer }) => {
      if (over) return;
      try {
        for (const frame of decoder.push(new Uint8Array(event.data))) if (!over) events.frame(frame);
      } catch (error) {
        end(0, String(error));
        socket.close();
      }
    };
    const send = (frame: Uint8Array) => gather.add(frame);
    return {
      kind: "websocket",
      send,
      sendLossy: send,
      sendAside: send,
      close(code, reason) {
        gather.flush();
        over = true;
        if (code >= 3000) socket.close(code, reason);
        else socket.close();
      },
    };
  };
}

const OPEN = 1;
