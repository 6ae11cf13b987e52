// Frames over WebTransport: one long-lived bidirectional stream, a second one for history, and datagrams for what may be lost.

import { FrameDecoder } from "../frame.ts";
import { type Dial, Gather, type TransportEvents } from "./transport.ts";

/** Whether this browser has WebTransport. */
export const hasWebTransport = typeof WebTransport === "function";

/** Dials `url`. With `certificateHash` (SHA-256, hex) the server's certificate may be self-signed, for at most 14 days. */
export function webTransport(url: string, certificateHash: string): Dial {
  return (events) => new Connection(url, certificateHash, events);
}

class Connection {
  readonly kind = "webtransport";
  readonly #transport: WebTransport;
  readonly #events: TransportEvents;
  #over = false;
  #main: Gather | undefined;
  #aside: Gather | undefined;
  #datagrams: WritableStreamDefaultWriter<Uint8Array> | undefined;

  constructor(url: string, certificateHash: string, events: TransportEvents) {
    this.#events = events;
    this.#transport = new WebTransport(url, {
      congestionControl: "low-latency",
      ...(certificateHash && { serverCertificateHashes: [{ algorithm: "sha-256", value: fromHex(certificateHash) }] }),
    });
    this.#transport.closed.then(
      (info) => this.#end(info?.closeCode ?? 0, info?.reason ?? ""),
      (error) => this.#end(0, String(error)),
    );
    this.#open().catch((error) => this.#end(0, String(error)));
  }

  send(frame: Uint8Array): void {
    this.#main?.add(frame);
  }

  sendLossy(frame: Uint8Array): void {
    if (!this.#datagrams || frame.length > MAX_DATAGRAM) return this.send(frame);
    this.#datagrams.write(frame).catch(() => {});
  }

  sendAside(frame: Uint8Array): void {
    // Frames that come before the stream is there wait in the gather's queue of writes.
    this.#aside ??= gatherInto(this.#stream(-1), () => this.#end(0, "the history stream failed"));
    this.#aside.add(frame);
  }

  close(code: number, reason: string): void {
    this.#main?.flush();
    this.#over = true;
    try {
      this.#transport.close({ closeCode: code, reason });
    } catch {
      // Not open yet: closing is all the same.
    }
  }

  async #open(): Promise<void> {
    await this.#transport.ready;
    const writer = await this.#stream(0);
    this.#main = gatherInto(Promise.resolve(writer), (error) => this.#end(0, String(error)));
    const { datagrams } = this.#transport as WebTransport & { datagrams: NewDatagrams };
    // One at a time, as some browsers begin with, loses those that come while the page is busy.
    datagrams.incomingHighWaterMark = datagrams.incomingMaxBufferedDatagrams = 64;
    const writable = datagrams.createWritable?.() ?? datagrams.writable;
    this.#datagrams = writable.getWriter() as WritableStreamDefaultWriter<Uint8Array>;
    void this.#read(datagrams.readable, (bytes) => this.#frame(bytes)).catch(() => {});
    if (!this.#over) this.#events.opened();
  }

  /** Opens a stream, reads its frames, and gives its writer. A lower `sendOrder` waits for the others. */
  async #stream(sendOrder: number): Promise<WritableStreamDefaultWriter<Uint8Array>> {
    const { readable, writable } = await this.#transport.createBidirectionalStream({ sendOrder });
    const decoder = new FrameDecoder();
    this.#read(readable, (bytes) => {
      for (const frame of decoder.push(bytes)) this.#frame(frame);
    }).then(
      // The server ends a session by its close code, which comes right behind the end of the stream.
      () => {},
      (error) => setTimeout(() => this.#end(0, String(error)), CLOSE_GRACE_MS),
    );
    return writable.getWriter() as WritableStreamDefaultWriter<Uint8Array>;
  }

  async #read(readable: ReadableStream<Uint8Array>, take: (bytes: Uint8Array) => void): Promise<void> {
    const reader = readable.getReader();
    for (;;) {
      const { value, done } = await reader.read();
      if (done) return;
      take(value);
    }
  }

  #frame(bytes: Uint8Array): void {
    if (!this.#over) this.#events.frame(bytes);
  }

  #end(code: number, reason: string): void {
    if (this.#over) return;
    this.close(0, "");
    this.#events.closed({ code, reason });
  }
}

/** WebTransport as its later drafts have it. */
interface NewDatagrams {
  incomingHighWaterMark: number;
  incomingMaxBufferedDatagrams: number;
  readonly readable: ReadableStream<Uint8Array>;
  readonly writable: WritableStream<Uint8Array>;
  createWritable?(): WritableStream<Uint8Array>;
}

function gatherInto(writer: Promise<WritableStreamDefaultWriter<Uint8Array>>, failed: (error: unknown) => void): Gather {
  return new Gather((bytes) => {
    writer.then((w) => w.write(bytes)).catch(failed);
  });
}

function fromHex(hex: string): Uint8Array<ArrayBuffer> {
  return Uint8Array.from(hex.match(/../g) ?? [], (byte) => Number.parseInt(byte, 16));
}

/** Well inside the smallest path. */
const MAX_DATAGRAM = 1_000;
/** How long the close code may come after a stream's end. */
const CLOSE_GRACE_MS = 250;
