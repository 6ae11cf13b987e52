import { expect, it } from "vitest";
import { elsewhere } from "../src/transport/elsewhere.ts";
import type { WebSocketFactory, WebSocketLike } from "../src/transport/websocket.ts";

const asked: string[] = [];

class Socket {
  binaryType = "";
  readyState = 0;
  onopen = null;
  onmessage = null;
  onclose = null;
  onerror = null;
  constructor(url: string) {
    asked.push(url);
  }
  send(): void {}
  close(): void {}
}

const events = { opened() {}, frame() {}, closed() {} };

function dials(target: string, own = "wss://chat.example/ws", certificateHash = "") {
  const factory = Socket as unknown as new (url: string, protocols: string[]) => WebSocketLike;
  return elsewhere(target, new URL(own), { webtransportUrl: "", certificateHash }, factory as WebSocketFactory);
}

it("dials the edge that was named", () => {
  dials("https://edge-2.example:8443")?.websocket(events);
  expect(asked).toEqual(["wss://edge-2.example:8443/ws"]);
});

it("follows nobody who cannot show that it belongs to the same server", () => {
  for (const target of ["", "edge-2", "http://edge-2.example", "https://edge-2.example/wt", "https://ann@edge-2.example", "javascript:1"]) {
    expect(dials(target)).toBeUndefined();
  }
  expect(dials("https://edge-2.example", "ws://localhost:8080/ws")).toBeUndefined();
  expect(dials("https://edge-2.example", "wss://localhost:8443/ws", "00ff")).toBeUndefined();
});
