import { describe, expect, it } from "vitest";
import { GogochatError } from "../src/errors.ts";
import { Outbox } from "../src/outbox.ts";
import type { Session } from "../src/session.ts";
import { MemoryStorage } from "../src/storage/memory.ts";
import { ManualClock, settle } from "./clock.ts";

/** A session whose replies the test gives, by the text of what was sent. */
function line() {
  const sent: string[] = [];
  const waiting = new Map<string, { resolve(reply: object): void; reject(error: Error): void }>();
  const session = {
    open: true,
    call: (_: unknown, { text }: { text: string }) => {
      sent.push(text);
      return new Promise((resolve, reject) => waiting.set(text, { resolve, reject }));
    },
  } as unknown as Session;
  const commit = (text: string, seq: number) => (waiting.get(text)?.resolve({ seq: BigInt(seq), timeMs: 1n }), settle());
  const refuse = (text: string, code: "unavailable" | "out_of_order" | "not_a_contact", retryAfterMs: number) =>
    (waiting.get(text)?.reject(new GogochatError(code, code, retryAfterMs)), settle());
  return { session, sent, commit, refuse };
}

function setUp() {
  const clock = new ManualClock();
  const acknowledged: [string, number][] = [];
  const events = {
    changed: () => {},
    acknowledged: ({ text }: { text: string }, seq: number) => void acknowledged.push([text, seq]),
    tell: () => {},
  };
  const outbox = new Outbox(new MemoryStorage(), clock, events, []);
  return { clock, outbox, acknowledged, old: line(), next: line() };
}

describe("an outbox that goes over to another session", () => {
  it("repeats there what is refused there, although the old session's late reply says that it is committed", async () => {
    const { clock, outbox, acknowledged, old, next } = setUp();
    outbox.connected(old.session);
    outbox.add("c", "a");
    outbox.connected(next.session);
    expect([old.sent, next.sent]).toEqual([["a"], ["a"]]);
    await old.commit("a", 2);
    expect(acknowledged).toEqual([["a", 2]]);
    expect(outbox.size).toBe(0);
    // The server's lane waits for "a" now.
    await next.refuse("a", "unavailable", 100);
    outbox.add("c", "b");
    await clock.advance(1_000);
    expect(next.sent).toEqual(["a", "a", "b"]);
    await next.commit("a", 2);
    await next.commit("b", 3);
    outbox.reached("c", 3);
    expect(outbox.size).toBe(0);
    expect(outbox.entries("c")).toEqual([]);
  });

  it("goes on with what is behind it, in order, when that was on its way too", async () => {
    const { clock, outbox, old, next } = setUp();
    outbox.connected(old.session);
    outbox.add("c", "a");
    outbox.connected(next.session);
    outbox.add("c", "b");
    await next.refuse("a", "unavailable", 100);
    await old.commit("a", 2);
    await next.refuse("b", "out_of_order", 50);
    await clock.advance(1_000);
    expect(next.sent).toEqual(["a", "b", "a", "b"]);
  });

  it("knows by the late reply that a message is committed although its repeat will not be taken", async () => {
    for (const first of ["reply", "refusal"]) {
      const { outbox, old, next } = setUp();
      outbox.connected(old.session);
      outbox.add("c", "a");
      outbox.connected(next.session);
      if (first === "reply") await old.commit("a", 2);
      await next.refuse("a", "not_a_contact", 0);
      if (first === "refusal") await old.commit("a", 2);
      outbox.reached("c", 2);
      expect(outbox.entries("c")).toEqual([]);
      outbox.add("c", "b");
      expect(next.sent).toEqual(["a", "b"]);
    }
  });

  it("keeps sending when every message is acknowledged twice", async () => {
    const { outbox, old, next } = setUp();
    outbox.connected(old.session);
    const said = Array.from({ length: 40 }, (_, i) => `m${i}`);
    for (const text of said) outbox.add("c", text);
    outbox.connected(next.session);
    for (let i = 0; i < 32; i++) await old.commit(`m${i}`, i + 2);
    for (let i = 0; i < 32; i++) await next.commit(`m${i}`, i + 2);
    expect(next.sent).toEqual(said);
    for (let i = 32; i < 40; i++) await next.commit(`m${i}`, i + 2);
    outbox.reached("c", 41);
    expect(outbox.entries("c")).toEqual([]);
  });
});
