// The SDK itself in Node, over ws: a person who writes faster than any page.

import { Auth, MemoryStorage, open } from "@gogochat/client";
import WebSocket from "ws";

class Values {
  #values = new Map();
  getItem(key) {
    return this.#values.get(key) ?? null;
  }
  setItem(key, value) {
    this.#values.set(key, value);
  }
  removeItem(key) {
    this.#values.delete(key);
  }
}

/** Registers a person and connects. */
export async function connect(page, name, displayName) {
  const auth = new Auth({ baseUrl: page, storage: new Values() });
  await auth.register(name, "correct horse battery", displayName, "Node");
  const client = await open(
    auth,
    { webtransportUrl: "", certificateHash: "", websocketUrl: `${page.replace("http", "ws")}/ws` },
    { storage: new MemoryStorage(), WebSocket, name: "gogochat-e2e/1" },
  );
  await until(() => client.connection.get().status === "online");
  return client;
}

/** Waits until something holds. */
export async function until(holds, timeout = 30_000) {
  const deadline = Date.now() + timeout;
  while (!holds()) {
    if (Date.now() > deadline) throw new Error(`does not hold after ${timeout} ms: ${holds}`);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}
