import { expect, it } from "vitest";
import { Auth } from "../src/auth.ts";
import { beginSecondFactor, confirmSecondFactor, removeSecondFactor, secondFactor } from "../src/second-factor.ts";

it("is looked at, begun, confirmed and removed by the calls of the contract", async () => {
  const session = { user: { id: "u1" }, deviceId: "d1", accessToken: "a", accessExpiresMs: String(Date.now() + 1e7), refreshToken: "r" };
  const asked: unknown[] = [];
  const answers: Record<string, unknown> = {
    "POST /v1/sessions": session,
    "GET /v1/account/second-factor": { on: true, sinceMs: "7", recoveryCodesLeft: 9 },
    "POST /v1/account/second-factor": { secret: "ABC", uri: "otpauth://totp/x" },
    "POST /v1/account/second-factor/confirm": { recoveryCodes: ["a-b", "c-d"] },
    "POST /v1/account/second-factor/remove": {},
  };
  const auth = new Auth({
    storage: { getItem: () => null, setItem: () => {}, removeItem: () => {} },
    fetch: async (input, init) => {
      asked.push([`${init?.method} ${String(input)}`, init?.body && JSON.parse(String(init.body))]);
      return new Response(JSON.stringify(answers[`${init?.method} ${String(input)}`]));
    },
  });
  await auth.logIn("ada", "pw", "device", "", "123456");
  expect(await secondFactor(auth)).toEqual({ on: true, sinceMs: 7, recoveryCodesLeft: 9 });
  expect(await beginSecondFactor(auth, "pw")).toEqual({ secret: "ABC", uri: "otpauth://totp/x" });
  expect(await confirmSecondFactor(auth, "654321")).toEqual(["a-b", "c-d"]);
  await removeSecondFactor(auth, "pw", "a-b");
  expect(asked).toEqual([
    ["POST /v1/sessions", { name: "ada", password: "pw", deviceName: "device", newPassword: "", secondFactor: "123456" }],
    ["GET /v1/account/second-factor", undefined],
    ["POST /v1/account/second-factor", { currentPassword: "pw" }],
    ["POST /v1/account/second-factor/confirm", { code: "654321" }],
    ["POST /v1/account/second-factor/remove", { currentPassword: "pw", secondFactor: "a-b" }],
  ]);
});
