// Two devices of two people in one conversation, as many tests begin.

import type { Client } from "../src/client.ts";
import { MemoryStorage } from "../src/storage/memory.ts";
import { texts, World } from "./world.ts";

/** Two devices of two people in one conversation. */
export async function pair(world = new World()) {
  world.peer.token("ann", "-");
  world.peer.token("bob", "-");
  world.peer.chat("c", false, "ann", "bob");
  const ann = await world.device("ann", "a1");
  const bob = await world.device("bob", "b1", new MemoryStorage(), {
    webtransport: world.path("webtransport"),
    websocket: world.path("websocket"),
  });
  await world.online(ann);
  await world.online(bob);
  await world.clock.until(() => ann.conversation("c") !== undefined && bob.conversation("c") !== undefined);
  ann.timeline("c");
  bob.timeline("c");
  await world.clock.advance(50);
  return { world, ann, bob };
}

/** The texts that a device shows in it. */
export const seen = (client: Client) => texts(client.timeline("c").items.get());
/** How each of them stands. */
export const states = (client: Client) => client.timeline("c").items.get().map((item) => item.state);
