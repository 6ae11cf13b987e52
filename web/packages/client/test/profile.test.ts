import { describe, expect, it } from "vitest";
import { Admin } from "../src/admin.ts";
import { Auth } from "../src/auth.ts";
import { profile, updateProfile } from "../src/profile.ts";

const PERSON = { id: "u1", name: "ada", displayName: "Ada" };

/** A signed-in device against a server that notes what it is asked, and answers so. */
async function device(answers: Record<string, unknown>) {
  const asked: { call: string; body: unknown }[] = [];
  const session = { user: PERSON, deviceId: "d1", accessToken: "a", accessExpiresMs: String(Date.now() + 1e7), refreshToken: "r", administrator: true };
  const kept = new Map<string, string>();
  const auth = new Auth({
    storage: {
      getItem: (key) => kept.get(key) ?? null,
      setItem: (key, value) => void kept.set(key, value),
      removeItem: (key) => void kept.delete(key),
    },
    fetch: async (input, init) => {
      const call = `${init?.method} ${String(input)}`;
      asked.push({ call, body: init?.body && JSON.parse(String(init.body)) });
      return new Response(JSON.stringify(call === "POST /v1/sessions" ? session : (answers[call] ?? {})));
    },
  });
  await auth.logIn("ada", "one time", "device", "my own");
  return { auth, asked, kept };
}

describe("signing in", () => {
  it("gives a new password beside a one-time one, and knows an administrator", async () => {
    const { auth, asked } = await device({});
    expect(asked).toEqual([
      { call: "POST /v1/sessions", body: { name: "ada", password: "one time", deviceName: "device", newPassword: "my own", secondFactor: "" } },
    ]);
    expect(auth.signedIn.get()?.administrator).toBe(true);
  });
});

describe("a profile", () => {
  it("is patched as far as it is said, and kept by the device", async () => {
    const account = { user: { ...PERSON, displayName: "Ada L.", signature: "hi" }, birthday: "2000-02-29", gender: "GENDER_FEMALE" };
    const { auth, asked, kept } = await device({ "PATCH /v1/account": account, "GET /v1/account": account });
    expect(await profile(auth)).toEqual({ person: account.user, birthday: "2000-02-29", gender: "female" });
    await updateProfile(auth, { displayName: "Ada L.", gender: "" });
    expect(asked.at(-1)).toEqual({ call: "PATCH /v1/account", body: { displayName: "Ada L.", gender: "GENDER_UNSPECIFIED" } });
    expect(auth.signedIn.get()?.user.displayName).toBe("Ada L.");
    expect([...kept.values()].join()).toContain("Ada L.");
  });
});

describe("administration", () => {
  it("reads users and what was done, and says what it does to whom", async () => {
    const { auth, asked } = await device({
      "GET /v1/admin/users?query=a+b&pageToken=": { users: [{ person: PERSON, createdMs: "5", disabledSinceMs: "7" }], nextPageToken: "n" },
      "GET /v1/admin/audit?userId=u1&pageToken=": {
        entries: [{ id: "e", timeMs: "9", act: "ACT_ACCESS_RESET", actor: null, subject: PERSON, address: "::1", detail: "" }],
      },
      "POST /v1/admin/users/u1/reset": { oneTimePassword: "x-y", untilMs: "3" },
    });
    const admin = new Admin(auth);
    const page = await admin.users("a b");
    expect(page).toEqual({
      items: [{ person: PERSON, createdMs: 5, administratorSinceMs: 0, disabledSinceMs: 7, oneTimePasswordUntilMs: 0 }],
      next: "n",
    });
    const [entry] = (await admin.audit("u1")).items;
    expect(entry).toEqual({ id: "e", timeMs: 9, act: "access_reset", actor: undefined, subject: PERSON, address: "::1", detail: "" });
    expect(await admin.resetAccess("u1")).toEqual({ password: "x-y", untilMs: 3 });
    await admin.disable("u1", "spam");
    expect(asked.at(-1)).toEqual({ call: "POST /v1/admin/users/u1/disable", body: { reason: "spam" } });
    await admin.setAdministrator("u1", true);
    expect(asked.at(-1)).toEqual({ call: "PUT /v1/admin/users/u1/administrator", body: { administrator: true } });
  });
});
