// Why a call failed or a session ended. The codes are the contract's: they never change their
// meaning. Pages translate them.

/** The stable codes of the server, and those that arise in this client. */
export const ERROR_CODES = [
  "invalid_argument",
  "malformed_body",
  "body_too_large",
  "unsupported_media_type",
  "text_too_long",
  "unknown_method",
  "key_mismatch",
  "unauthenticated",
  "token_invalid",
  "token_expired",
  "token_reused",
  "wrong_credentials",
  "account_disabled",
  "password_change_required",
  "second_factor_required",
  "second_factor_wrong",
  "second_factor_on",
  "second_factor_off",
  "registration_closed",
  "invitation_invalid",
  "permission_denied",
  "name_taken",
  "not_found",
  "not_a_member",
  "not_a_group",
  "too_many_invites",
  "group_dismissed",
  "muted",
  "slow_mode",
  "not_a_contact",
  "blocked",
  "already_contact",
  "yourself",
  "too_many_members",
  "client_msg_id_reused",
  "out_of_order",
  "seq_from_future",
  "cursor_from_future",
  "rate_limited",
  "overloaded",
  "storage_full",
  "unavailable",
  "deadline_exceeded",
  "internal",
  // Of this client: the server could not be reached, the session ended before the reply, the device
  // is signed out.
  "offline",
  "connection_lost",
  "signed_out",
] as const;

/** What went wrong. */
export type ErrorCode = (typeof ERROR_CODES)[number];

/** A field of a request that is not as it has to be. */
export interface Violation {
  /** The field's JSON name. */
  readonly field: string;
  readonly description: string;
}

/** Every failure that this library reports. */
export class GogochatError extends Error {
  override readonly name = "GogochatError";

  constructor(
    /** What went wrong; a code this client does not know yet reads as "internal". */
    readonly code: ErrorCode,
    message: string,
    /** When above 0, the same call may be repeated after so many milliseconds. */
    readonly retryAfterMs = 0,
    readonly violations: readonly Violation[] = [],
  ) {
    super(message);
  }

  /** Whether the same call, unchanged, may succeed later. */
  get retryable(): boolean {
    return this.retryAfterMs > 0;
  }

  /** From an Error message of the contract, or its JSON form. */
  static from(error: {
    code: string;
    message: string;
    retryAfterMs?: bigint | string | number;
    violations?: readonly Violation[];
  }): GogochatError {
    const code = (ERROR_CODES as readonly string[]).includes(error.code) ? (error.code as ErrorCode) : "internal";
    const violations = (error.violations ?? []).map(({ field, description }) => ({ field, description }));
    return new GogochatError(code, error.message || error.code, Number(error.retryAfterMs ?? 0), violations);
  }
}

/** The close codes that a client acts on; from 4100 to 4199 it connects again with the token it has. */
export const CloseCode = {
  TokenInvalid: 4003,
  TokenExpired: 4004,
  SignedOut: 4005,
  TooManyStreams: 4006,
  TooManyCalls: 4007,
  RateLimited: 4008,
  Draining: 4102,
  Done: 4200,
} as const;

/** The end of a session. */
export interface CloseInfo {
  /** The contract's close code, or 0 when the transport ended without one. */
  readonly code: number;
  readonly reason: string;
  /** Before that, connecting again is of no use. */
  readonly retryAfterMs?: number;
}
