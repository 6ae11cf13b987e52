import { describe, expect, it } from "vitest";
import { Calls } from "../src/calls.ts";
import { GogochatError } from "../src/errors.ts";
import { FindPeople, LeaveGroup } from "../src/methods.ts";
import type { Session } from "../src/session.ts";
import { ManualClock } from "./clock.ts";
import { pair } from "./pair.ts";

/** Calls over a session that refuses until it is told otherwise; when each was made, and under which id. */
function setUp(code: "storage_full" | "overloaded" | "not_a_member", retryAfterMs: number, random: () => number) {
  const clock = new ManualClock();
  const start = clock.now();
  const server = { refusing: true, made: [] as [number, string][] };
  const session = {
    open: true,
    call: async (_: unknown, request: { clientMsgId?: string }) => {
      server.made.push([clock.now() - start, request.clientMsgId ?? ""]);
      if (server.refusing) throw new GogochatError(code, code, retryAfterMs);
      return {};
    },
  } as unknown as Session;
  const calls = new Calls(clock, () => session, random);
  const leave = () => calls.call(LeaveGroup, { conversationId: "g", clientMsgId: "id" }, { key: "g" });
  return { clock, server, calls, leave };
}

describe("a call with a clientMsgId", () => {
  it("is repeated under it as told, with jitter", async () => {
    const { clock, server, leave } = setUp("storage_full", 10_000, () => 0.5);
    const left = leave();
    await clock.advance(11_200);
    expect(server.made).toEqual([[0, "id"]]);
    server.refusing = false;
    await clock.advance(100);
    await left;
    expect(server.made).toEqual([[0, "id"], [11_250, "id"]]);
  });

  it("is given up after 30 s, with the last refusal", async () => {
    for (const [code, wait] of [["storage_full", 10_000], ["overloaded", 200]] as const) {
      const { clock, server, leave } = setUp(code, wait, () => 0);
      let failure: unknown;
      void leave().catch((error) => (failure = error));
      await clock.advance(29_900);
      expect(failure).toBeUndefined();
      await clock.advance(200);
      expect(failure).toMatchObject({ code });
      expect(server.made.at(-1)).toEqual([30_000, "id"]);
      expect(server.made.length).toBe(30_000 / wait + 1);
    }
  });

  it("is not repeated when that cannot help", async () => {
    const { server, leave } = setUp("not_a_member", 0, () => 0);
    await expect(leave()).rejects.toMatchObject({ code: "not_a_member" });
    expect(server.made.length).toBe(1);
  });
});

describe("any other call", () => {
  it("is given up after 10 s", async () => {
    const { clock, server, calls } = setUp("overloaded", 200, () => 0);
    let failure: unknown;
    void calls.call(FindPeople, { query: "a" }).catch((error) => (failure = error));
    await clock.advance(10_200);
    expect(failure).toMatchObject({ code: "overloaded" });
    expect(server.made.at(-1)?.[0]).toBe(10_000);
  });
});

describe("a call of a client's", () => {
  it("waits for the connection, and says so when there is none", async () => {
    const { world, ann } = await pair();
    world.webtransport.refused = true;
    world.websocket.refused = true;
    world.webtransport.cut();
    const failing = ann.leaveGroup("c").catch((error) => error);
    await world.clock.advance(10_100);
    expect(await failing).toMatchObject({ code: "offline" });
  });

  it("gets the server's error, typed", async () => {
    const { world, ann } = await pair();
    const failing = ann.leaveGroup("nowhere").catch((error) => error);
    await world.clock.advance(50);
    expect(await failing).toMatchObject({ name: "GogochatError", code: "not_a_member", retryable: false });
  });

  it("that was carried out and whose reply was lost is done, whatever its repeat is told", async () => {
    const { world, ann } = await pair();
    world.peer.asked.add("bob/ann");
    for (const [method, call] of [
      ["RequestContact", () => ann.requestContact({ id: "bob", name: "bob", displayName: "BOB" }, "")],
      ["RemoveContact", () => ann.removeContact("bob")],
    ] as const) {
      world.peer.muteReplies = true;
      let done = false;
      const doing = call().then(() => (done = true));
      await world.clock.until(() => world.peer.calls.get(method) === 1);
      world.peer.muteReplies = false;
      world.webtransport.cut();
      await world.clock.until(() => world.peer.calls.get(method) === 2);
      await world.clock.advance(100);
      expect(done).toBe(true);
      await doing;
      expect(ann.contacts.get().map(({ person, state }) => [person.id, state])).toEqual(
        method === "RequestContact" ? [["bob", "accepted"]] : [],
      );
    }
    // Who is none is none at the first call too, and that is said.
    const failing = ann.removeContact("bob").catch((error) => error);
    await world.clock.advance(50);
    expect(await failing).toMatchObject({ code: "not_found" });
  });
});
