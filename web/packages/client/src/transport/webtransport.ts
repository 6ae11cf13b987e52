// Frames over WebTransport: one long-lived bidirectional stream, a second one for history, and
// datagrams for what may be lost.

import { FrameDecoder } from "../frame.ts";
import type { CertificateHash } from "./hash.ts";
import { type Dial, Gather, type TransportEvents } from "./transport.ts";

/** Whether this browser has WebTransport. */
export const hasWebTransport = typeof WebTransport === "function";

/**
 * Dials `url`. With `certificateHash` the server's certificate may be self-signed, for at most 14
 * days. A server that runs for longer
 * has a new one by then, so that its hash is asked for before each dial.
 */
export function webTransport(url: string, certificateHash: CertificateHash): Dial {
  return (events) => new Connection(url, certificateHash, events);
}

class Connection {
  readonly kind = "webtransport";
  /** Not there while its certificate's hash is asked for. */
  #transport: WebTransport | undefined;
  readonly #events: TransportEvents;
  #over = false;
  #main: Gather | undefined;
  #aside: Aside | undefined;
  #datagrams: WritableStreamDefaultWriter<Uint8Array> | undefined;

  constructor(url: string, certificateHash: CertificateHash, events: TransportEvents) {
    this.#events = events;
    this.#open(url, certificateHash).catch((error) => this.#end(0, String(error)));
  }

  send(frame: Uint8Array): void {
    this.#main?.add(frame);
  }

  sendLossy(frame: Uint8Array): void {
    if (!this.#datagrams || frame.length > MAX_DATAGRAM) return this.send(frame);
    this.#datagrams.write(frame).catch(() => {});
  }

  sendAside(frame: Uint8Array): void {
    const transport = this.#transport;
    if (!transport) return;
    this.#aside ??= this.#openAside(transport);
    clearTimeout(this.#aside.idle);
    this.#aside.waiting++;
    // Frames that come before the stream is there wait behind its promise.
    this.#aside.gather.add(frame);
  }

  close(code: number, reason: string): void {
    this.#main?.flush();
    this.#over = true;
    try {
      this.#transport?.close({ closeCode: code, reason });
    } catch {
      // Not open yet: closing is all the same.
    }
  }

  async #open(url: string, certificateHash: CertificateHash): Promise<void> {
    const hash = typeof certificateHash === "string" ? certificateHash : await certificateHash();
    if (this.#over) return;
    const transport = new WebTransport(url, {
      congestionControl: "low-latency",
      ...(hash && { serverCertificateHashes: [{ algorithm: "sha-256", value: fromHex(hash) }] }),
    });
    this.#transport = transport;
    transport.closed.then(
      (info) => this.#end(info?.closeCode ?? 0, info?.reason ?? ""),
      (error) => this.#end(0, String(error)),
    );
    await transport.ready;
    const failed = (error: unknown) => this.#end(0, String(error));
    const writer = await this.#stream(
      transport,
      0,
      (frame) => this.#frame(frame),
      // The close code comes right behind the end of the stream.
      (error) => setTimeout(failed, CLOSE_GRACE_MS, error),
    );
    this.#main = gatherInto(Promise.resolve(writer), failed);
    const { datagrams } = transport as WebTransport & { datagrams: NewDatagrams };
    // One at a time, as some browsers begin with, loses those that come while the page is busy.
    datagrams.incomingHighWaterMark = datagrams.incomingMaxBufferedDatagrams = 64;
    const writable = datagrams.createWritable?.() ?? datagrams.writable;
    this.#datagrams = writable.getWriter() as WritableStreamDefaultWriter<Uint8Array>;
    void this.#read(datagrams.readable, (bytes) => this.#frame(bytes)).catch(() => {});
    if (!this.#over) this.#events.opened();
  }

  /** A stream for history: kept while it is in use, finished when it is not; its end is not the session's. */
  #openAside(transport: WebTransport): Aside {
    const over = () => {
      if (this.#aside === aside) this.#aside = undefined;
    };
    const received = (frame: Uint8Array) => {
      aside.waiting--;
      if (aside.waiting <= 0) aside.idle = setTimeout(finish, ASIDE_IDLE_MS);
      this.#frame(frame);
    };
    const writer = this.#stream(transport, -1, received, over);
    const finish = () => {
      over();
      writer.then((w) => w.close()).catch(() => {});
    };
    const aside: Aside = { gather: gatherInto(writer, over), waiting: 0, idle: undefined };
    return aside;
  }

  /** Opens a stream, reads its frames, and gives its writer. A lower `sendOrder` waits for the others. */
  async #stream(
    transport: WebTransport,
    sendOrder: number,
    take: (frame: Uint8Array) => void,
    over: (error?: unknown) => void,
  ): Promise<WritableStreamDefaultWriter<Uint8Array>> {
    const { readable, writable } = await transport.createBidirectionalStream({ sendOrder });
    const decoder = new FrameDecoder();
    this.#read(readable, (bytes) => {
      for (const frame of decoder.push(bytes)) take(frame);
    }).then(() => over("the stream has ended"), over);
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

/** The stream for history. */
interface Aside {
  readonly gather: Gather;
  /** Calls without a reply. */
  waiting: number;
  idle: ReturnType<typeof setTimeout> | undefined;
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
/** A server resets a stream that is silent for long: it is finished before. */
const ASIDE_IDLE_MS = 3_000;
