// What owners and admins of groups do, over REST. A page loads this with a group's details.

import { type Auth, personOf } from "./auth.ts";
import type { GroupChange, Person, Role } from "./model.ts";

/** A member who rules in a group. */
export interface Ruler {
  readonly person: Person;
  readonly role: Role;
}

/** A code by which others join. */
export interface Invite {
  readonly code: string;
  readonly untilMs: number;
  /** 0: as many as like. */
  readonly usesLeft: number;
}

/** A group as somebody sees it who may join it. */
export interface OpenGroup {
  readonly id: string;
  readonly title: string;
  readonly memberCount: number;
  /** This user is in it already. */
  readonly member: boolean;
}

/** Groups as those who rule them change them. Each call is refused with `permission_denied` to others. */
export class Groups {
  readonly #auth: Auth;

  constructor(auth: Auth) {
    this.#auth = auth;
  }

  /** Changes how a group is. For its owner and admins. */
  async change(id: string, { posting, history, joining, ...change }: GroupChange): Promise<void> {
    await this.#auth.call("PATCH", of(id), {
      ...change,
      ...(posting && { posting: `GROUP_POSTING_${posting.toUpperCase()}` }),
      ...(history && { history: `GROUP_HISTORY_${history.toUpperCase()}` }),
      ...(joining && { joining: `GROUP_JOINING_${joining.toUpperCase()}` }),
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

  /** Makes a code by which others join, `uses` times (0: as many as like). */
  async invite(id: string, expiresInMs: number, uses: number): Promise<Invite> {
    const answer = await this.#auth.call("POST", `${of(id)}/invites`, { expiresInMs: String(expiresInMs), uses });
    return { code: String(answer["code"]), untilMs: Number(answer["untilMs"]), usesLeft: uses };
  }

  /** The codes that are good. */
  async invites(id: string): Promise<Invite[]> {
    const answer = await this.#auth.call("GET", `${of(id)}/invites`);
    return ((answer["invites"] ?? []) as Record<string, unknown>[]).map((invite) => ({
      code: String(invite["code"]),
      untilMs: Number(invite["untilMs"]),
      usesLeft: Number(invite["usesLeft"] ?? 0),
    }));
  }

  /** Ends a code. */
  async revoke(id: string, code: string): Promise<void> {
    await this.#auth.call("DELETE", `${of(id)}/invites/${encodeURIComponent(code)}`);
  }

  /** What a code leads to. Rejects with `not_found` where it leads nowhere any more. */
  async look(code: string): Promise<OpenGroup> {
    return toOpenGroup(await this.#auth.call("GET", `/v1/invites/${encodeURIComponent(code)}`));
  }

  /** Joins by a code; the group's id. */
  async joinBy(code: string): Promise<string> {
    const answer = await this.#auth.call("POST", `/v1/invites/${encodeURIComponent(code)}/join`, {});
    return String(answer["conversationId"]);
  }

  /** Groups that anybody may join; a part of them. */
  async open(pageToken = ""): Promise<{ groups: OpenGroup[]; next: string }> {
    const answer = await this.#auth.call("GET", `/v1/groups?${new URLSearchParams({ pageToken })}`);
    const groups = ((answer["groups"] ?? []) as Record<string, unknown>[]).map(toOpenGroup);
    return { groups, next: String(answer["nextPageToken"] ?? "") };
  }

  /** Joins an open group. */
  async join(id: string): Promise<void> {
    await this.#auth.call("POST", `${of(id)}/join`, {});
  }

  /** Ends a group. For its owner. */
  async dismiss(id: string): Promise<void> {
    await this.#auth.call("DELETE", of(id));
  }
}

function toOpenGroup(json: Record<string, unknown>): OpenGroup {
  return {
    id: String(json["conversationId"]),
    title: String(json["title"] ?? ""),
    memberCount: Number(json["memberCount"] ?? 0),
    member: json["member"] === true,
  };
}

function of(id: string): string {
  return `/v1/conversations/${encodeURIComponent(id)}`;
}
