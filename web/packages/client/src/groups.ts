// What owners and admins of groups do, over REST. A page loads this with a group's details.

import { type Auth, personOf } from "./auth.ts";
import type { GroupChange, Person, Role } from "./model.ts";

/** A member who rules in a group. */
export interface Ruler {
  readonly person: Person;
  readonly role: Role;
}

/** Groups as those who rule them change them. Each call is refused with `permission_denied` to others. */
export class Groups {
  readonly #auth: Auth;

  constructor(auth: Auth) {
    this.#auth = auth;
  }

  /** Changes how a group is. For its owner and admins. */
  async change(id: string, { posting, history, ...change }: GroupChange): Promise<void> {
    await this.#auth.call("PATCH", of(id), {
      ...change,
      ...(posting && { posting: `GROUP_POSTING_${posting.toUpperCase()}` }),
      ...(history && { history: `GROUP_HISTORY_${history.toUpperCase()}` }),
    });
  }

  /** Its owner and its admins, at most 200. */
  async rulers(id: string): Promise<Ruler[]> {
    const answer = await this.#auth.call("GET", `${of(id)}/members?role=MEMBER_ROLE_ADMIN`);
    return ((answer["members"] ?? []) as Record<string, unknown>[]).map((member) => ({
      person: personOf(member["person"]),
      role: String(member["role"] ?? "").replace("MEMBER_ROLE_", "").toLowerCase() as Role,
    }));
  }

  /** Removes members; how many were there. */
  async remove(id: string, userIds: readonly string[]): Promise<number> {
    const answer = await this.#auth.call("POST", `${of(id)}/members/remove`, { userIds });
    return Number(answer["removed"] ?? 0);
  }

  /** Gives a member a role. For the owner; who makes another the owner is an admin from then on. */
  async setRole(id: string, userId: string, role: Role): Promise<void> {
    await this.#auth.call("PUT", `${of(id)}/members/${encodeURIComponent(userId)}/role`, { role: `MEMBER_ROLE_${role.toUpperCase()}` });
  }

  /** Forbids a member to write for so long; 0: permits it again. */
  async mute(id: string, userId: string, forMs: number): Promise<void> {
    await this.#auth.call("PUT", `${of(id)}/members/${encodeURIComponent(userId)}/mute`, { forMs: String(forMs) });
  }

  /** Ends a group. For its owner. */
  async dismiss(id: string): Promise<void> {
    await this.#auth.call("DELETE", of(id));
  }
}

function of(id: string): string {
  return `/v1/conversations/${encodeURIComponent(id)}`;
}
