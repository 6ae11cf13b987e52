// Typing: shown while it is repeated, told no more often than others have to know.

import { describe, expect, it } from "vitest";
import { pair } from "./pair.ts";

describe("typing", () => {
  it("shows while it is repeated, ends when the message comes, lapses by itself", async () => {
    const { world, ann, bob } = await pair();
    ann.type("c", true);
    await world.clock.until(() => bob.typing.get().get("c")?.[0] === "ann", 100);
    ann.send("c", "there");
    await world.clock.until(() => !bob.typing.get().has("c"), 100);
    ann.type("c", true);
    await world.clock.until(() => bob.typing.get().has("c"), 100);
    await world.clock.advance(5_900);
    expect(bob.typing.get().has("c")).toBe(true);
    await world.clock.advance(200);
    expect(bob.typing.get().has("c")).toBe(false);
  });

  it("is taken back only where others were told of it; a message takes it back by itself", async () => {
    const { world, ann } = await pair();
    const told = world.peer.typing;
    ann.type("c", false);
    ann.send("c", "pasted");
    ann.type("c", true);
    ann.send("c", "typed");
    ann.type("c", false);
    await world.clock.advance(100);
    expect(told).toEqual([["ann", false]]);
    ann.type("c", true);
    ann.type("c", false);
    ann.type("c", false);
    await world.clock.advance(100);
    expect(told.slice(1)).toEqual([["ann", false], ["ann", true]]);
    // Without a connection nobody is told, and so nothing is to be taken back.
    told.length = 0;
    for (const path of [world.webtransport, world.websocket]) path.refused = true;
    world.webtransport.cut();
    await world.clock.until(() => ann.connection.get().status === "offline");
    ann.type("c", true);
    for (const path of [world.webtransport, world.websocket]) path.refused = false;
    await world.online(ann);
    ann.type("c", false);
    await world.clock.advance(100);
    expect(told).toEqual([]);
  });
});
