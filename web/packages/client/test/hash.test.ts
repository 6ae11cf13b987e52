import { afterEach, expect, it, vi } from "vitest";
import { currentHash } from "../src/transport/hash.ts";
import { webTransport } from "../src/transport/webtransport.ts";

/** The hashes that the browser was told to trust, a list for each connection. */
const dialled: string[][] = [];

class Browser {
  readonly ready = new Promise<void>(() => {});
  readonly closed = new Promise<never>(() => {});
  constructor(_url: string, options: { serverCertificateHashes?: { value: Uint8Array }[] }) {
    dialled.push((options.serverCertificateHashes ?? []).map(({ value }) => Buffer.from(value).toString("hex")));
  }
  close(): void {}
}

const closed = vi.fn();
const events = { opened() {}, frame() {}, closed };

afterEach(() => {
  dialled.length = 0;
  closed.mockClear();
  vi.unstubAllGlobals();
});

it("dials with the hash that the server has by then", async () => {
  vi.stubGlobal("WebTransport", Browser);
  const answers = ["bb", "bb", "cc"];
  const again = vi.fn(async () => ({ certificateHash: answers.shift() ?? "" }));
  const dial = webTransport("https://localhost/wt", currentHash("aa", again));
  for (let n = 1; n <= 4; n++) {
    dial(events);
    await vi.waitFor(() => expect(dialled).toHaveLength(n));
  }
  expect(dialled).toEqual([["aa"], ["bb"], ["bb"], ["cc"]]);
  expect(again).toHaveBeenCalledTimes(3);
});

it("keeps to the hash that it has while the server does not answer", async () => {
  const answers = [() => Promise.reject(new Error("away")), async () => ({ certificateHash: "bb" })];
  const hash = currentHash("aa", () => answers.shift()!()) as () => Promise<string>;
  expect([await hash(), await hash(), await hash()]).toEqual(["aa", "aa", "bb"]);
});

it("asks nobody for the hash of a certificate that browsers trust, and dials at once", () => {
  vi.stubGlobal("WebTransport", Browser);
  const again = vi.fn();
  webTransport("https://chat.example/wt", currentHash("", again))(events);
  expect(dialled).toEqual([[]]);
  expect(again).not.toHaveBeenCalled();
});

it("dials nothing when it was given up before the hash was known", async () => {
  vi.stubGlobal("WebTransport", Browser);
  let tell = (_: string) => {};
  const transport = webTransport("https://localhost/wt", () => new Promise((resolve) => (tell = resolve)))(events);
  transport.close(0, "");
  tell("aa");
  await new Promise((resolve) => setImmediate(resolve));
  expect(dialled).toEqual([]);
  expect(closed).not.toHaveBeenCalled();
});
