// Whom a user blocks, over REST. What changes comes to all devices by the session.

import { type Auth, personOf } from "./auth.ts";
import type { Person } from "./model.ts";

/** Blocks somebody: the contact or request that there is ends. They are not told. */
export async function block(auth: Auth, userId: string): Promise<void> {
  await auth.call("POST", "/v1/blocks", { userId });
}

/** Ends a block. It restores nothing. */
export async function unblock(auth: Auth, userId: string): Promise<void> {
  await auth.call("DELETE", `/v1/blocks/${encodeURIComponent(userId)}`);
}

/** Whom the user blocks. */
export async function blocks(auth: Auth): Promise<Person[]> {
  const people: Person[] = [];
  let pageToken = "";
  do {
    const page = await auth.call("GET", `/v1/blocks?${new URLSearchParams({ limit: "500", pageToken })}`);
    for (const found of (page["blocks"] ?? []) as Record<string, unknown>[]) people.push(personOf(found["person"]));
    pageToken = String(page["nextPageToken"] ?? "");
  } while (pageToken !== "");
  return people;
}
