// One conversation over everything at once: servers that drain and refuse, paths that break, grow slow and come back.

import { expect, it } from "vitest";
import { MemoryStorage } from "../src/storage/memory.ts";
import { texts, World } from "./world.ts";

it("loses nothing, repeats nothing, keeps the order and stands still nowhere: 30 seeds of moves", { timeout: 60_000 }, async () => {
  for (let seed = 1; seed <= 30; seed++) {
    let state = seed * 2654435761;
    const random = () => ((state = (state * 1103515245 + 12345) & 0x7fffffff), state / 0x7fffffff);
    const world = new World();
    const edge = world.edge("https://edge-2");
    const paths = [world.webtransport, world.websocket, edge.webtransport, edge.websocket];
    world.peer.token("ann", "-");
    world.peer.token("bob", "-");
    world.peer.chat("c", false, "ann", "bob");
    const ann = await world.device("ann", "a1");
    const bob = await world.device("bob", "b1", new MemoryStorage(), {
      webtransport: world.path("webtransport"),
      websocket: world.path("websocket"),
    });
    await world.clock.until(() => ann.conversation("c") !== undefined && bob.conversation("c") !== undefined);
    const timelines = [ann.timeline("c"), bob.timeline("c")];
    const said: string[] = [];
    const say = () => {
      said.push(`m${said.length}`);
      ann.send("c", said.at(-1) ?? "");
    };
    for (let i = 0; i < 80; i++) {
      for (let burst = Math.floor(random() * 6); burst > 0; burst--) say();
      const path = paths[Math.floor(random() * paths.length)] ?? world.websocket;
      const [dice, part] = [random(), random()];
      if (dice < 0.04) path.cut();
      else if (dice < 0.08) path.blackhole = !path.blackhole;
      else if (dice < 0.12) path.refused = !path.refused;
      else if (dice < 0.25) path.latency = 2 + part * 400;
      else if (dice < 0.3) world.peer.muteReplies = !world.peer.muteReplies;
      else if (dice < 0.45) world.peer.refuse = () => (random() < part * 0.6 ? { code: "overloaded", retryAfterMs: 50 } : undefined);
      else if (dice < 0.5) world.peer.unwelcome = () => (random() < part ? { code: 4104, retryAfterMs: 500 } : undefined);
      else if (dice < 0.7) {
        const deadlineMs = Math.round(1_000 + part * 8_000);
        world.peer.push("ann", { case: "drain", value: { deadlineMs, target: random() < 0.5 ? "https://edge-2" : "" } });
      }
      await world.clock.advance(random() * 700);
    }
    for (const path of paths) Object.assign(path, { blackhole: false, refused: false, latency: 5 });
    world.peer.muteReplies = false;
    world.peer.refuse = () => undefined;
    world.peer.unwelcome = () => undefined;
    say();
    await world.clock.until(() => ann.waiting.get() === 0, 60_000);
    await world.clock.advance(5_000);
    expect(world.peer.texts("c"), `seed ${seed}`).toEqual(said);
    for (const { items } of timelines) expect(texts(items.get()), `seed ${seed}`).toEqual(said);
    await ann.close();
    await bob.close();
    expect(paths.reduce((open, path) => open + path.open.size, 0), `seed ${seed}`).toBe(0);
  }
});
