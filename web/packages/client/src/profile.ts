// What a user says of themselves, over REST.

import { type Auth, personOf } from "./auth.ts";
import type { Person } from "./model.ts";

/** Nobody else is told. */
export type Gender = "" | "female" | "male" | "other";

/** What a user says of themselves. */
export interface Profile {
  readonly person: Person;
  /** "2001-12-31", or empty. */
  readonly birthday: string;
  readonly gender: Gender;
}

/** A change: what is left out stays, what is empty is cleared. */
export interface ProfileChange {
  readonly displayName?: string;
  readonly signature?: string;
  readonly birthday?: string;
  readonly gender?: Gender;
}

/** The signed-in user's profile. */
export async function profile(auth: Auth): Promise<Profile> {
  return toProfile(await auth.call("GET", "/v1/account"));
}

/** Changes it: how it stands now. Other devices and contacts hear of it. */
export async function updateProfile(auth: Auth, { gender, ...change }: ProfileChange): Promise<Profile> {
  const body = { ...change, ...(gender !== undefined && { gender: `GENDER_${gender.toUpperCase() || "UNSPECIFIED"}` }) };
  const now = toProfile(await auth.call("PATCH", "/v1/account", body));
  auth.renamed(now.person);
  return now;
}

function toProfile(json: Record<string, unknown>): Profile {
  const gender = String(json["gender"] ?? "").replace("GENDER_", "").toLowerCase();
  return {
    person: personOf(json["user"]),
    birthday: String(json["birthday"] ?? ""),
    gender: (["female", "male", "other"].includes(gender) ? gender : "") as Gender,
  };
}
