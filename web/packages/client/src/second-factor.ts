// What log-ins ask for beside the password, over REST.

import type { Auth } from "./auth.ts";

/** The second factor of an account. */
export interface SecondFactor {
  /** Each log-in asks for it. */
  readonly on: boolean;
  /** Since when. */
  readonly sinceMs: number;
  /** How many recovery codes have not been used yet. */
  readonly recoveryCodesLeft: number;
}

/** What an authenticator is given. */
export interface FactorSecret {
  /** Base32, to be typed. */
  readonly secret: string;
  /** "otpauth://totp/...": what a QR code holds. */
  readonly uri: string;
}

/** How it stands. */
export async function secondFactor(auth: Auth): Promise<SecondFactor> {
  return toFactor(await auth.call("GET", PATH));
}

/** Draws a secret. Nothing asks for it until it is confirmed. */
export async function beginSecondFactor(auth: Auth, currentPassword: string): Promise<FactorSecret> {
  const { secret, uri } = await auth.call("POST", PATH, { currentPassword });
  return { secret: String(secret), uri: String(uri) };
}

/** Turns it on by a code of the authenticator: the recovery codes, which are not shown again. */
export async function confirmSecondFactor(auth: Auth, code: string): Promise<string[]> {
  const { recoveryCodes } = await auth.call("POST", `${PATH}/confirm`, { code });
  return (recoveryCodes ?? []) as string[];
}

/** Turns it off, by the password and a code of either kind. */
export async function removeSecondFactor(auth: Auth, currentPassword: string, secondFactor: string): Promise<void> {
  await auth.call("POST", `${PATH}/remove`, { currentPassword, secondFactor });
}

function toFactor(json: Record<string, unknown>): SecondFactor {
  return {
    on: json["on"] === true,
    sinceMs: Number(json["sinceMs"] ?? 0),
    recoveryCodesLeft: Number(json["recoveryCodesLeft"] ?? 0),
  };
}

const PATH = "/v1/account/second-factor";
