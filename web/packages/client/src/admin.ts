// What administrators do, over REST. A page loads this for them alone.

import { type Auth, personOf } from "./auth.ts";
import type { Person } from "./model.ts";

/** A user as administrators see them. Times are 0 where something is not so. */
export interface User {
  readonly person: Person;
  readonly createdMs: number;
  readonly administratorSinceMs: number;
  readonly disabledSinceMs: number;
  readonly oneTimePasswordUntilMs: number;
}

/** A device on which a user is signed in. */
export interface UserDevice {
  readonly id: string;
  readonly name: string;
  readonly address: string;
  readonly createdMs: number;
  readonly lastSeenMs: number;
}

/** What was done. */
export const ACTS = [
  "registered",
  "logged_in",
  "password_changed",
  "disabled",
  "enabled",
  "administrator_made",
  "administrator_ended",
  "access_reset",
  "signed_out",
  "invited",
  "second_factor_on",
  "second_factor_off",
] as const;

/** What was done. */
export type Act = (typeof ACTS)[number];

/** An entry of the audit log. */
export interface AuditEntry {
  readonly id: string;
  readonly timeMs: number;
  /** undefined: what a newer server calls otherwise. */
  readonly act: Act | undefined;
  /** undefined: the server's command line. */
  readonly actor: Person | undefined;
  readonly subject: Person | undefined;
  readonly address: string;
  readonly detail: string;
}

/** A part of a list. */
export interface Page<T> {
  readonly items: readonly T[];
  /** For the next part; empty on the last. */
  readonly next: string;
}

type Json = Record<string, unknown>;

/** What administrators do. Each call is refused with `permission_denied` to others. */
export class Admin {
  readonly #auth: Auth;

  constructor(auth: Auth) {
    this.#auth = auth;
  }

  /** Users whose name begins with `query`, by name. */
  async users(query: string, pageToken = ""): Promise<Page<User>> {
    const answer = await this.#auth.call("GET", `/v1/admin/users?${new URLSearchParams({ query, pageToken })}`);
    return { items: list(answer["users"]).map(toUser), next: String(answer["nextPageToken"] ?? "") };
  }

  async user(id: string): Promise<User> {
    return toUser(await this.#auth.call("GET", of(id)));
  }

  /** Ends the user's sessions, and refuses to log them in. */
  async disable(id: string, reason: string): Promise<User> {
    return toUser(await this.#auth.call("POST", `${of(id)}/disable`, { reason }));
  }

  async enable(id: string): Promise<User> {
    return toUser(await this.#auth.call("POST", `${of(id)}/enable`, {}));
  }

  async setAdministrator(id: string, administrator: boolean): Promise<User> {
    return toUser(await this.#auth.call("PUT", `${of(id)}/administrator`, { administrator }));
  }

  /** The one-time password that takes the place of the user's. */
  async resetAccess(id: string): Promise<{ password: string; untilMs: number }> {
    const answer = await this.#auth.call("POST", `${of(id)}/reset`, {});
    return { password: String(answer["oneTimePassword"]), untilMs: Number(answer["untilMs"]) };
  }

  async devices(id: string): Promise<UserDevice[]> {
    const answer = await this.#auth.call("GET", `${of(id)}/devices`);
    return list(answer["devices"]).map((device) => ({
      id: String(device["id"]),
      name: String(device["name"] ?? ""),
      address: String(device["address"] ?? ""),
      createdMs: Number(device["createdMs"]),
      lastSeenMs: Number(device["lastSeenMs"]),
    }));
  }

  /** Signs a user's devices out, or one of them; how many. */
  async signOut(id: string, deviceId = ""): Promise<number> {
    const answer = await this.#auth.call("POST", `${of(id)}/sign-out`, { deviceId });
    return Number(answer["devicesSignedOut"] ?? 0);
  }

  /** A code with which so many accounts can be registered. */
  async invite(uses: number): Promise<{ code: string; untilMs: number }> {
    const answer = await this.#auth.call("POST", "/v1/admin/invitations", { uses });
    return { code: String(answer["code"]), untilMs: Number(answer["untilMs"]) };
  }

  /** The audit log, the latest first: of a user, or of all. */
  async audit(userId = "", pageToken = ""): Promise<Page<AuditEntry>> {
    const answer = await this.#auth.call("GET", `/v1/admin/audit?${new URLSearchParams({ userId, pageToken })}`);
    return { items: list(answer["entries"]).map(toEntry), next: String(answer["nextPageToken"] ?? "") };
  }
}

function of(id: string): string {
  return `/v1/admin/users/${encodeURIComponent(id)}`;
}

function list(json: unknown): Json[] {
  return (json ?? []) as Json[];
}

function toUser(json: Json): User {
  return {
    person: personOf(json["person"]),
    createdMs: Number(json["createdMs"] ?? 0),
    administratorSinceMs: Number(json["administratorSinceMs"] ?? 0),
    disabledSinceMs: Number(json["disabledSinceMs"] ?? 0),
    oneTimePasswordUntilMs: Number(json["oneTimePasswordUntilMs"] ?? 0),
  };
}

function toEntry(json: Json): AuditEntry {
  const act = String(json["act"] ?? "").replace("ACT_", "").toLowerCase();
  const person = (who: unknown) => (who ? personOf(who) : undefined);
  return {
    id: String(json["id"]),
    timeMs: Number(json["timeMs"] ?? 0),
    act: ACTS.find((known) => known === act),
    actor: person(json["actor"]),
    subject: person(json["subject"]),
    address: String(json["address"] ?? ""),
    detail: String(json["detail"] ?? ""),
  };
}
