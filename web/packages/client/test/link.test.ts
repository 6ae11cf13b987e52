import { describe, expect, it } from "vitest";
import { CloseCode } from "../src/errors.ts";
import type { Path } from "./wire.ts";
import { World } from "./world.ts";

describe("the link", () => {
  it("takes WebTransport when it opens, and never dials WebSocket", async () => {
    const world = new World();
    const client = await world.device("ann", "a1");
    expect(await world.online(client)).toBeLessThan(100);
    await world.clock.advance(10_000);
    expect(client.connection.get()).toMatchObject({ transport: "webtransport", status: "online", switches: 0 });
    expect(client.connection.get().rttMs).toBe(4);
    expect(world.websocket.dialled).toBe(0);
  });

  it("takes WebSocket when WebTransport is not open within 3 s", async () => {
    const world = new World();
    world.webtransport.blackhole = true;
    const client = await world.device("ann", "a1");
    const took = await world.online(client);
    expect(took).toBeGreaterThanOrEqual(3_000);
    expect(took).toBeLessThan(3_100);
    expect(client.connection.get().transport).toBe("websocket");
  });

  it("takes WebSocket at once when WebTransport fails at once", async () => {
    const world = new World();
    world.webtransport.refused = true;
    const client = await world.device("ann", "a1");
    expect(await world.online(client)).toBeLessThan(100);
    expect(client.connection.get().transport).toBe("websocket");
  });

  it("bridges a path that went silent within 5 s, and says so once", async () => {
    const world = new World();
    const client = await world.device("ann", "a1");
    await world.online(client);
    for (const idle of [0, 700, 1_190, 2_500]) {
      await world.clock.advance(idle);
      world.webtransport.blackhole = true;
      const took = await world.clock.until(() => client.connection.get().transport === "websocket", 6_000);
      expect(took).toBeLessThanOrEqual(5_000);
      world.webtransport.blackhole = false;
      await world.clock.until(() => client.connection.get().transport === "webtransport", 700_000);
    }
    expect(client.connection.get().switches).toBe(4);
  });

  it("stays when the silent path answers before the other is open", async () => {
    const world = new World();
    const client = await world.device("ann", "a1");
    await world.online(client);
    world.websocket.latency = 2_000;
    world.webtransport.blackhole = true;
    await world.clock.until(() => world.websocket.dialled > 0);
    world.webtransport.blackhole = false;
    // The transport repeats what was lost: here, the next ping.
    client.kick();
    await world.clock.advance(20_000);
    expect(client.connection.get()).toMatchObject({ transport: "webtransport", status: "online", switches: 0 });
    expect(world.websocket.open.size).toBe(0);
  });

  it("goes back to WebTransport quietly, less and less often when it does not open", async () => {
    const world = new World();
    world.webtransport.refused = true;
    const client = await world.device("ann", "a1");
    await world.online(client);
    await world.clock.advance(600_000);
    const tries = world.webtransport.dialled;
    expect(tries).toBeGreaterThan(4);
    expect(tries).toBeLessThan(30);
    world.webtransport.refused = false;
    await world.clock.until(() => client.connection.get().transport === "webtransport", 400_000);
    // The old session ends after the new one has begun.
    await world.clock.advance(5_000);
    expect(world.websocket.open.size).toBe(0);
    expect(client.connection.get().switches).toBe(0);
  });

  it("comes back after a cut, by waiting times that grow and differ", async () => {
    const world = new World();
    const client = await world.device("ann", "a1");
    await world.online(client);
    world.webtransport.refused = true;
    world.websocket.refused = true;
    world.webtransport.cut();
    await world.clock.advance(60_000);
    expect(client.connection.get().status).toBe("offline");
    const tries = world.websocket.dialled;
    expect(tries).toBeGreaterThan(4);
    expect(tries).toBeLessThan(40);
    world.webtransport.refused = false;
    await world.clock.until(() => client.connection.get().status === "online", 21_000);
  });

  it("looks at once when the network comes back", async () => {
    const world = new World();
    world.webtransport.refused = true;
    world.websocket.refused = true;
    const client = await world.device("ann", "a1");
    await world.clock.advance(120_000);
    world.webtransport.refused = false;
    client.kick();
    expect(await world.online(client)).toBeLessThan(50);
  });

  it("fetches a new token when the server would not take the old one", async () => {
    const world = new World();
    const client = await world.device("ann", "a1");
    await world.online(client);
    world.peer.tokens.clear();
    world.peer.close("ann", CloseCode.TokenExpired);
    await world.clock.advance(5);
    expect(client.connection.get().status).not.toBe("online");
    expect(await world.online(client)).toBeLessThan(1_000);
  });

  it("tries less and less often while fresh tokens are refused too", async () => {
    const world = new World();
    const auth = world.auth("ann", "a1");
    let refreshes = 0;
    let known = false;
    const bogus = { ...auth, token: async (rejected?: string) => (known ? auth.token(rejected) : `fresh ${++refreshes}`) } as typeof auth;
    const client = await world.device("ann", "a1", undefined, {}, bogus);
    await world.clock.advance(60_000);
    const tries = world.webtransport.dialled + world.websocket.dialled;
    expect(tries).toBeGreaterThan(3);
    expect(tries).toBeLessThan(30);
    known = true;
    await world.online(client);
  });

  it("stays away for a second after it did too much at once", async () => {
    for (const code of [CloseCode.TooManyStreams, CloseCode.TooManyCalls, CloseCode.RateLimited]) {
      const world = new World();
      const client = await world.device("ann", "a1");
      await world.online(client);
      world.peer.close("ann", code);
      await world.clock.until(() => client.connection.get().status !== "online");
      const dialled = world.webtransport.dialled + world.websocket.dialled;
      await world.clock.advance(990);
      expect(world.webtransport.dialled + world.websocket.dialled).toBe(dialled);
      await world.online(client);
    }
  });

  it("goes on with a newer token without a new session", async () => {
    const world = new World();
    const auth = world.auth("ann", "a1");
    const client = await world.device("ann", "a1", undefined, {}, auth);
    await world.online(client);
    expect(world.peer.hellos).toBe(1);
    auth.refreshed();
    await world.clock.advance(50);
    expect(world.peer.hellos).toBe(2);
    expect(world.webtransport.dialled).toBe(1);
    expect(client.connection.get().status).toBe("online");
  });

  it("goes on with a token that came while its session was on its way", async () => {
    const world = new World();
    world.webtransport.latency = 50;
    const auth = world.auth("ann", "a1");
    const client = await world.device("ann", "a1", undefined, {}, auth);
    await world.clock.advance(60);
    auth.refreshed();
    expect(client.connection.get().status).toBe("connecting");
    await world.online(client);
    await world.clock.advance(200);
    expect(world.peer.hellos).toBe(2);
    expect(world.webtransport.dialled).toBe(1);
  });

  it("takes a dial that throws for one that failed", async () => {
    const world = new World();
    const webtransport = {
      dial: () => {
        throw new Error("not supported");
      },
    } as unknown as Path;
    world.websocket.refused = true;
    const client = await world.device("ann", "a1", undefined, { webtransport });
    await world.clock.advance(60_000);
    expect(world.websocket.dialled).toBeGreaterThan(4);
    world.websocket.refused = false;
    client.kick();
    expect(await world.clock.until(() => client.connection.get().status === "online", 21_000)).toBeLessThan(21_000);
    expect(client.connection.get().transport).toBe("websocket");
  });

  it("leaves no session behind when it stops", async () => {
    const world = new World();
    world.webtransport.refused = true;
    const client = await world.device("ann", "a1");
    await world.online(client);
    world.webtransport.refused = false;
    await world.clock.until(() => client.connection.get().transport === "webtransport");
    expect(world.websocket.open.size).toBe(1);
    await client.close();
    expect(world.websocket.open.size + world.webtransport.open.size).toBe(0);
  });

  it("stops when the device is signed out", async () => {
    const world = new World();
    const client = await world.device("ann", "a1");
    await world.online(client);
    const dialled = world.webtransport.dialled;
    world.peer.close("ann", CloseCode.SignedOut);
    await world.clock.advance(60_000);
    expect(client.connection.get().status).toBe("stopped");
    expect(world.webtransport.dialled).toBe(dialled);
  });

  it("leaves a draining server for a new session before the old one ends", async () => {
    const world = new World();
    const client = await world.device("ann", "a1");
    await world.online(client);
    const states = new Set<string>();
    client.connection.subscribe(({ status }) => states.add(status));
    world.peer.push("ann", { case: "drain", value: { deadlineMs: 10_000 } });
    expect(await world.clock.until(() => world.webtransport.dialled === 2, 6_000)).toBeLessThanOrEqual(2_500);
    await world.clock.advance(10_000);
    expect(world.webtransport.open.size).toBe(1);
    expect([...states]).toEqual(["online"]);
  });

  for (const kind of ["webtransport", "websocket"] as const) {
    it(`goes to the edge that a draining one names, over ${kind}, before it leaves`, async () => {
      const world = new World();
      if (kind === "websocket") world.webtransport.refused = true;
      const other = world.edge("https://edge-2");
      const client = await world.device("ann", "a1");
      await world.online(client);
      const states = new Set<string>();
      client.connection.subscribe(({ status }) => states.add(status));
      const dialled = world[kind].dialled;
      world.peer.push("ann", { case: "drain", value: { deadlineMs: 10_000, target: "https://edge-2" } });
      await world.clock.until(() => other[kind].open.size === 1, 2_600);
      expect(world[kind].open.size).toBe(1);
      await world.clock.until(() => world[kind].open.size === 0, 3_100);
      expect([...states]).toEqual(["online"]);
      expect(world[kind].dialled).toBe(dialled);
      // The next loss leads to the own address again.
      if (kind === "websocket") world.webtransport.refused = false;
      other[kind].cut();
      await world.clock.until(() => world.webtransport.open.size === 1, 2_000);
      expect(other[kind].dialled).toBe(1);
    });
  }

  for (const fault of ["refused", "blackhole"] as const) {
    it(`goes to the own address when the edge that is named is ${fault}`, async () => {
      const world = new World();
      const other = world.edge("https://edge-2");
      other.webtransport[fault] = true;
      const client = await world.device("ann", "a1");
      await world.online(client);
      const states = new Set<string>();
      client.connection.subscribe(({ status }) => states.add(status));
      world.peer.push("ann", { case: "drain", value: { deadlineMs: 10_000, target: "https://edge-2" } });
      await world.clock.until(() => world.webtransport.dialled === 2, 5_100);
      await world.clock.advance(5_000);
      expect(other.webtransport.dialled).toBe(1);
      expect(world.webtransport.open.size).toBe(1);
      expect([...states]).toEqual(["online"]);
    });
  }

  it("shows the latest ticket when it comes again", async () => {
    const world = new World();
    const other = world.edge("https://edge-2");
    const client = await world.device("ann", "a1");
    await world.online(client);
    expect(world.peer.tickets).toEqual([[]]);
    const drain = { deadlineMs: 10_000, target: "https://edge-2", ticket: Uint8Array.of(9, 9) };
    world.peer.push("ann", { case: "drain", value: drain });
    await world.clock.until(() => other.webtransport.open.size === 1, 2_600);
    await world.clock.advance(5_000);
    expect(world.peer.tickets).toEqual([[], [9, 9]]);
    other.webtransport.cut();
    await world.clock.until(() => world.peer.tickets.length === 3, 2_000);
    expect(world.peer.tickets[2]).toEqual([2]);
  });

  it("leaves a server alone for as long as it asks", async () => {
    const world = new World();
    const client = await world.device("ann", "a1");
    await world.online(client);
    const dialled = () => world.webtransport.dialled + world.websocket.dialled;
    world.peer.close("ann", 4104, 5_000);
    await world.clock.advance(4_990);
    expect(dialled()).toBe(1);
    expect(await world.online(client)).toBeLessThan(400);
  });

  it("does not wait for a server that asked for it long ago", async () => {
    const world = new World();
    world.webtransport.refused = true;
    const client = await world.device("ann", "a1");
    await world.online(client);
    // On the way back to WebTransport.
    let refusals = 0;
    world.peer.unwelcome = () => (refusals++, { code: 4104, retryAfterMs: 5_000 });
    world.webtransport.refused = false;
    await world.clock.until(() => refusals === 1);
    world.webtransport.refused = true;
    world.peer.unwelcome = () => undefined;
    await world.clock.advance(5_000);
    world.websocket.cut();
    await world.clock.until(() => client.connection.get().status !== "online");
    expect(await world.online(client)).toBeLessThan(1_000);
  });

  it("asks no more often than it was told to while a server drains", async () => {
    const world = new World();
    const client = await world.device("ann", "a1");
    await world.online(client);
    let refusals = 0;
    world.peer.unwelcome = () => (refusals++, { code: 4104, retryAfterMs: 5_000 });
    world.peer.push("ann", { case: "drain", value: { deadlineMs: 10_000 } });
    await world.clock.until(() => refusals === 1);
    await world.clock.advance(14_000);
    expect(refusals).toBe(3);
    expect(client.connection.get().status).toBe("online");
  });

  it("does not wait long for the edge that is named when the draining one has gone", async () => {
    const world = new World();
    const other = world.edge("https://edge-2");
    other.webtransport.blackhole = true;
    const client = await world.device("ann", "a1");
    await world.online(client);
    world.peer.push("ann", { case: "drain", value: { deadlineMs: 10_000, target: "https://edge-2" } });
    await world.clock.until(() => other.webtransport.dialled === 1);
    world.webtransport.cut();
    await world.clock.until(() => client.connection.get().status !== "online");
    expect(await world.online(client)).toBeLessThan(3_500);
  });

  it("leaves a draining server although the path was silent in between", async () => {
    const world = new World();
    const other = world.edge("https://edge-2");
    other.webtransport.blackhole = true;
    const client = await world.device("ann", "a1");
    await world.online(client);
    world.websocket.blackhole = true;
    world.peer.push("ann", { case: "drain", value: { deadlineMs: 10_000, target: "https://edge-2" } });
    await world.clock.until(() => other.webtransport.dialled === 1);
    world.webtransport.blackhole = true;
    await world.clock.until(() => world.websocket.dialled > 0);
    world.webtransport.blackhole = false;
    client.kick();
    await world.clock.until(() => world.webtransport.open.size === 2, 5_000);
    expect(client.connection.get()).toMatchObject({ status: "online", switches: 0 });
  });

  it("tries on while a draining server has nobody to go to, and stays until it ends", async () => {
    const world = new World();
    const client = await world.device("ann", "a1");
    await world.online(client);
    world.webtransport.refused = true;
    world.peer.push("ann", { case: "drain", value: { deadlineMs: 10_000, target: "https://unknown" } });
    await world.clock.advance(9_000);
    expect(world.webtransport.dialled).toBeGreaterThan(4);
    expect(client.connection.get().status).toBe("online");
    world.webtransport.refused = false;
    await world.clock.until(() => world.webtransport.open.size === 2, 2_000);
    expect(client.connection.get().status).toBe("online");
  });

  it("asks a hidden page's connection only at the heartbeat", async () => {
    const world = new World();
    const client = await world.device("ann", "a1");
    await world.online(client);
    client.attentive = false;
    await world.clock.advance(3_000);
    world.webtransport.blackhole = true;
    await world.clock.advance(12_000);
    expect(client.connection.get().transport).toBe("webtransport");
    // Somebody looks: now it has to be right.
    client.attentive = true;
    expect(await world.clock.until(() => client.connection.get().transport === "websocket")).toBeLessThan(3_500);
  });
});
