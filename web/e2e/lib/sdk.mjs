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
  auths.set(client, { page, auth });
  return client;
}

const auths = new WeakMap();

/** The texts that somebody sent in a conversation, as the server tells them to this client's person. */
export async function textsOf(client, conversationId, senderId) {
  const { page, auth } = auths.get(client);
  const texts = [];
  for (let after = 0, last = 1; after < last; ) {
    const url = `${page}/v1/conversations/${conversationId}/events?afterSeq=${after}&limit=100`;
    const answer = await fetch(url, { headers: { authorization: `Bearer ${await auth.token()}` } });
    if (!answer.ok) throw new Error(`${url}: ${answer.status} ${await answer.text()}`);
    const { events, lastSeq } = await answer.json();
    for (const event of events) if (event.message && event.senderId === senderId) texts.push(event.message.text);
    [after, last] = [Number(events.at(-1).seq), Number(lastSeq)];
  }
  return texts;
}

/** Waits until something holds. */
export async function until(holds, timeout = 30_000) {
  const deadline = Date.now() + timeout;
  while (!holds()) {
    if (Date.now() > deadline) throw new Error(`does not hold after ${timeout} ms: ${holds}`);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}
