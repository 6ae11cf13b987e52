// What a client calls back for: messages, requests, people's names and presence.

import { describe, expect, it } from "vitest";
import { MemoryStorage } from "../src/storage/memory.ts";
import { pair, seen } from "./pair.ts";

describe("what is announced", () => {
  it("is what comes while the device is there or in a brief break, whatever its clock says; the rest is counted", async () => {
    const { world, ann } = await pair();
    const heard: string[] = [];
    ann.onMessage((_, event, missed) => {
      if (event.body.kind === "message") heard.push(`${event.body.text}${missed ? " (missed)" : ""}`);
      // A watcher's fault is not the transport's.
      throw new Error("a watcher's own");
    });
    const faults: unknown[] = [];
    Object.assign(globalThis, { reportError: (error: unknown) => faults.push(error) });
    world.peer.say("c", "bob", "live");
    await world.clock.until(() => heard.length === 1, 200);
    const away = async (ms: number) => {
      world.webtransport.refused = world.websocket.refused = true;
      world.webtransport.cut();
      world.websocket.cut();
      await world.clock.advance(50);
      world.peer.say("c", "bob", `after ${ms}`);
      await world.clock.advance(ms);
      world.webtransport.refused = world.websocket.refused = false;
      ann.kick();
      await world.clock.until(() => heard.some((text) => text.startsWith(`after ${ms}`)), 30_000);
    };
    await away(5_000);
    await away(100_000);
    world.peer.say("c", "bob", "live again");
    await world.clock.until(() => heard.includes("live again"), 200);
    expect(heard).toEqual(["live", "after 5000", "after 100000 (missed)", "live again"]);
    expect(faults.length).toBe(4);
    expect(seen(ann)).toEqual(["live", "after 5000", "after 100000", "live again"]);
    Reflect.deleteProperty(globalThis, "reportError");
  });

  it("is what crosses a message of one's own too, and not what was read on another device", async () => {
    const { world, ann } = await pair();
    const other = await world.device("ann", "a2", new MemoryStorage(), {
      webtransport: world.path("webtransport"),
      websocket: world.path("websocket"),
    });
    await world.online(other);
    const heard: string[] = [];
    ann.onMessage((_, event) => void (event.body.kind === "message" && heard.push(event.body.text)));
    const cut = (refused: boolean) => {
      world.webtransport.refused = world.websocket.refused = refused;
      world.webtransport.cut();
      world.websocket.cut();
    };
    // In a break: said first, and answered by somebody who does not know of it.
    cut(true);
    world.peer.say("c", "bob", "crossing");
    ann.send("c", "mine");
    await world.clock.advance(2_000);
    cut(false);
    ann.kick();
    await world.clock.until(() => ann.waiting.get() === 0 && seen(ann).length === 2, 30_000);
    await world.clock.advance(500);
    expect(world.peer.texts("c")).toEqual(["crossing", "mine"]);
    expect(ann.conversation("c")).toMatchObject({ unread: 0, readSeq: 3 });
    expect(heard).toEqual(["crossing"]);
    // Read, or answered, on the other device meanwhile.
    cut(true);
    world.peer.say("c", "bob", "read there");
    await world.clock.until(() => other.conversation("c")?.lastSeq === 4);
    other.markRead("c", 4);
    world.peer.say("c", "bob", "answered there");
    await world.clock.until(() => other.conversation("c")?.lastSeq === 5);
    other.send("c", "from there");
    await world.clock.until(() => world.peer.texts("c").includes("from there"));
    world.peer.say("c", "bob", "new");
    await world.clock.advance(2_000);
    cut(false);
    ann.kick();
    await world.clock.until(() => seen(ann).includes("new"), 30_000);
    expect(heard).toEqual(["crossing", "new"]);
  });

  it("tells of requests with their notes, of acceptances and of groups", async () => {
    const { world, ann } = await pair();
    const news: [unknown, boolean][] = [];
    ann.onNews((it, missed) => void news.push([it, missed]));
    const person = (id: string) => ({ id, name: id, displayName: id.toUpperCase() });
    world.peer.tell("ann", { case: "contactRequested", value: { from: person("cyd"), to: person("ann"), note: "We met." } });
    world.peer.tell("ann", { case: "contactRequested", value: { from: person("ann"), to: person("dan"), note: "Me." } });
    world.peer.tell("ann", { case: "contactAccepted", value: { peer: person("dan"), conversationId: "c" } });
    world.peer.chat("g", true, "bob", "ann");
    await world.clock.until(() => news.length === 3, 1_000);
    expect(news).toEqual([
      [{ kind: "requested", person: person("cyd"), note: "We met." }, false],
      [{ kind: "accepted", person: person("dan"), conversationId: "c" }, false],
      [{ kind: "joined", conversationId: "g" }, false],
    ]);
  });

  it("calls people as they call themselves now, wherever they are named", async () => {
    const { world, ann } = await pair();
    world.peer.tell("ann", {
      case: "contactAccepted",
      value: { peer: { id: "bob", name: "bob", displayName: "BOB" }, conversationId: "c" },
    });
    await world.clock.advance(50);
    const value = { id: "bob", name: "bob", displayName: "Bo", signature: "At sea" };
    world.peer.push("ann", { case: "ephemeral", value: { conversationId: "c", userId: "bob", kind: { case: "person", value } } });
    await world.clock.advance(50);
    expect(ann.people.get().get("bob")).toEqual(value);
    expect(ann.contacts.get().map((contact) => contact.person)).toEqual([value]);
    expect(ann.conversation("c")?.peer).toEqual(value);
    // The same again changes nothing.
    let changes = 0;
    ann.contacts.subscribe(() => changes++);
    world.peer.push("ann", { case: "ephemeral", value: { conversationId: "c", userId: "bob", kind: { case: "person", value } } });
    await world.clock.advance(50);
    expect(changes).toBe(0);
  });

  it("has many people's presence in one change, and none of who is a contact no more", async () => {
    const { world, ann } = await pair();
    let changes = 0;
    ann.presence.subscribe(() => changes++);
    world.peer.tell("ann", {
      case: "contactAccepted",
      value: { peer: { id: "bob", name: "bob", displayName: "BOB" }, conversationId: "c" },
    });
    await world.clock.advance(50);
    changes = 0;
    for (let i = 0; i < 500; i++) {
      world.peer.push("ann", { case: "ephemeral", value: { userId: i === 0 ? "bob" : `p${i}`, kind: { case: "presence", value: { online: true } } } });
    }
    await world.clock.advance(50);
    expect(ann.presence.get().size).toBeGreaterThanOrEqual(500);
    expect(changes).toBeLessThan(50);
    world.peer.tell("ann", { case: "contactRemoved", value: { peerId: "bob" } });
    await world.clock.advance(50);
    expect(ann.presence.get().has("bob")).toBe(false);
  });
});
