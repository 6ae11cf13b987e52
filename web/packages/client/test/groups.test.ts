import { describe, expect, it } from "vitest";
import { create } from "@bufbuild/protobuf";
import { Auth } from "../src/auth.ts";
import { EventSchema, GroupHistory, GroupPosting, MemberRole } from "../src/gen/gogochat/v1/event_pb.ts";
import { Groups } from "../src/groups.ts";
import { toEvent } from "../src/model.ts";

const PERSON = { id: "u1", name: "ada", displayName: "Ada" };

/** Groups against a server that notes what it is asked. */
async function groups(answers: Record<string, unknown> = {}) {
  const asked: { call: string; body: unknown }[] = [];
  const session = { user: PERSON, deviceId: "d1", accessToken: "a", accessExpiresMs: String(Date.now() + 1e7), refreshToken: "r" };
  const auth = new Auth({
    storage: { getItem: () => null, setItem: () => {}, removeItem: () => {} },
    fetch: async (input, init) => {
      const call = `${init?.method} ${String(input)}`;
      asked.push({ call, body: init?.body && JSON.parse(String(init.body)) });
      return new Response(JSON.stringify(call === "POST /v1/sessions" ? session : (answers[call] ?? {})));
    },
  });
  await auth.logIn("ada", "password", "device");
  return { it: new Groups(auth), asked };
}

describe("groups", () => {
  it("are changed as far as it is said", async () => {
    const { it, asked } = await groups();
    await it.change("g", { title: "Tea", notice: "", posting: "admins", history: "from_join", slowModeMs: 0 });
    expect(asked.at(-1)).toEqual({
      call: "PATCH /v1/conversations/g",
      body: { title: "Tea", notice: "", slowModeMs: 0, posting: "GROUP_POSTING_ADMINS", history: "GROUP_HISTORY_FROM_JOIN" },
    });
    await it.change("g", { title: "Tea" });
    expect(asked.at(-1)?.body).toEqual({ title: "Tea" });
  });

  it("are ruled", async () => {
    const { it, asked } = await groups({
      "POST /v1/conversations/g/members/remove": { removed: 2 },
      "GET /v1/conversations/g/members?role=MEMBER_ROLE_ADMIN": { members: [{ person: PERSON, role: "MEMBER_ROLE_OWNER" }] },
    });
    expect(await it.rulers("g")).toEqual([{ person: PERSON, role: "owner" }]);
    expect(await it.remove("g", ["a", "b"])).toBe(2);
    await it.setRole("g", "a", "owner");
    expect(asked.at(-1)).toEqual({ call: "PUT /v1/conversations/g/members/a/role", body: { role: "MEMBER_ROLE_OWNER" } });
    await it.mute("g", "a", 5);
    expect(asked.at(-1)).toEqual({ call: "PUT /v1/conversations/g/members/a/mute", body: { forMs: "5" } });
    await it.invite("g", 5, 2);
    expect(asked.at(-1)).toEqual({ call: "POST /v1/conversations/g/invites", body: { expiresInMs: "5", uses: 2 } });
    await it.revoke("g", "c");
    expect(asked.at(-1)?.call).toBe("DELETE /v1/conversations/g/invites/c");
    await it.joinBy("c");
    expect(asked.at(-1)?.call).toBe("POST /v1/invites/c/join");
    await it.join("g");
    expect(asked.at(-1)?.call).toBe("POST /v1/conversations/g/join");
    await it.dismiss("g");
    expect(asked.at(-1)).toEqual({ call: "DELETE /v1/conversations/g", body: undefined });
  });
});

describe("what happened in a group", () => {
  it("is read from its events", () => {
    const read = (body: Parameters<typeof create<typeof EventSchema>>[1] extends infer I ? (I extends { body?: infer B } ? B : never) : never) =>
      toEvent(create(EventSchema, { logId: "g", seq: 2n, senderId: "u1", body })).body;
    expect(read({ case: "membersRemoved", value: { memberIds: ["a"], count: 1 } })).toEqual({ kind: "removed", memberIds: ["a"], count: 1 });
    expect(read({ case: "roleChanged", value: { userId: "a", role: MemberRole.OWNER } })).toEqual({ kind: "role", userId: "a", role: "owner" });
    expect(read({ case: "memberMuted", value: { userId: "a", untilMs: 7n } })).toEqual({ kind: "muted", userId: "a", untilMs: 7 });
    expect(read({ case: "groupDismissed", value: {} })).toEqual({ kind: "dismissed" });
    // What is not set was not changed; an empty notice was taken away.
    const change = { notice: "", posting: GroupPosting.ADMINS, history: GroupHistory.ALL };
    expect(read({ case: "groupChanged", value: change })).toEqual({ kind: "changed", notice: "", posting: "admins", history: "all" });
    expect(read({ case: undefined })).toEqual({ kind: "unknown" });
  });
});
