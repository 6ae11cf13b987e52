// What went wrong, in the person's words.

import { type ErrorCode, GogochatError } from "@gogochat/client/auth";
import { t } from "../i18n/index.ts";

/** The code of whatever was thrown. */
export function codeOf(error: unknown): ErrorCode {
  return error instanceof GogochatError ? error.code : "internal";
}

/** The sentence for a code. */
export function say(code: ErrorCode): string {
  return t().errors[code];
}
