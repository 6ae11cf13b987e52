// Who is signed in on this device: accounts, tokens and devices over REST. It needs no session, and
// no protobuf: the log-in page loads this alone.

import { GogochatError } from "./errors.ts";
import { type KeyValues, keyValues, type SafeKeyValues } from "./key-values.ts";
import type { Device, Person } from "./model.ts";
import { Cell, type Observable } from "./observable.ts";

export { type ErrorCode, GogochatError } from "./errors.ts";
export type { Device, Person } from "./model.ts";

/** A signed-in device. */
export interface SignedIn {
  readonly user: Person;
  readonly deviceId: string;
  readonly accessToken: string;
  readonly accessExpiresMs: number;
  readonly refreshToken: string;
  /** The user may administer the server. */
  readonly administrator?: boolean;
  /** What the server's clock is ahead of this one's, milliseconds. */
  readonly skewMs: number;
}

export { type KeyValues, keyValues } from "./key-values.ts";

/** What Auth may be given. */
export interface AuthOptions {
  /** The server, without a slash at the end; empty: the page's own origin. */
  readonly baseUrl?: string;
  readonly storage?: KeyValues;
  readonly fetch?: typeof globalThis.fetch;
  readonly locks?: LockManager;
}

/** Signs devices in and out and keeps their tokens fresh, with any number of tabs. */
export class Auth {
  /** The signed-in device, or undefined. */
  readonly signedIn: Observable<SignedIn | undefined>;
  readonly #signedIn: Cell<SignedIn | undefined>;
  readonly #base: string;
  readonly #storage: SafeKeyValues;
  readonly #fetch: typeof globalThis.fetch;
  readonly #locks: LockManager | undefined;
  #refreshing: Promise<string> | undefined;

  constructor(options: AuthOptions = {}) {
    this.#base = options.baseUrl ?? "";
    this.#storage = keyValues(() => options.storage ?? globalThis.localStorage);
    this.#fetch = options.fetch ?? ((input, init) => fetch(input, init));
    this.#locks = options.locks ?? globalThis.navigator?.locks;
    this.#signedIn = new Cell(this.#stored());
    this.signedIn = this.#signedIn;
    // Another tab refreshed, signed in or signed out.
    globalThis.addEventListener?.("storage", (event) => {
      const { key } = event as StorageEvent;
      if (key === KEY) this.#signedIn.set(this.#stored());
      // All was cleared at once, by the browser or its owner: nobody has signed out.
      else if (key === null) this.#keep();
    });
  }

  /** Creates an account and signs this device in. `invitation`: the code, where accounts are made by invitation. */
  async register(name: string, password: string, displayName: string, deviceName: string, invitation = ""): Promise<void> {
    await this.#enter("/v1/accounts", { name, password, displayName, deviceName, invitation });
  }

  /**
   * Signs this device in. `newPassword`: what takes the place of a one-time password. `secondFactor`: a code
   * of the authenticator, or a recovery code, where the account has a second factor.
   */
  async logIn(name: string, password: string, deviceName: string, newPassword = "", secondFactor = ""): Promise<void> {
    await this.#enter("/v1/sessions", { name, password, deviceName, newPassword, secondFactor });
  }

  /** Signs this device out, also when the server cannot be told. */
  async logOut(): Promise<void> {
    try {
      await this.#authorized("DELETE", "/v1/sessions/current");
    } catch {
      // The token lapses by itself.
    }
    this.forget();
  }

  /** Forgets the tokens: the server has signed this device out. */
  forget(): void {
    this.#storage.removeItem(KEY);
    this.#signedIn.set(undefined);
  }

  /** Changes the password; how many other devices were signed out by that. */
  async changePassword(currentPassword: string, newPassword: string): Promise<number> {
    const answer = await this.#authorized("POST", "/v1/account/password", { currentPassword, newPassword });
    return Number(answer["devicesSignedOut"] ?? 0);
  }

  /** The devices that are signed in, this one first. */
  async devices(): Promise<Device[]> {
    const answer = await this.#authorized("GET", "/v1/devices");
    const devices = (answer["devices"] ?? []) as Record<string, string | boolean>[];
    return devices
      .map((d) => ({
        id: String(d["id"]),
        name: String(d["name"] ?? ""),
        createdMs: Number(d["createdMs"] ?? 0),
        lastSeenMs: Number(d["lastSeenMs"] ?? 0),
        current: d["current"] === true,
        address: String(d["address"] ?? ""),
      }))
      .sort((a, b) => Number(b.current) - Number(a.current) || b.lastSeenMs - a.lastSeenMs);
  }

  /** Signs another device out. */
  async revokeDevice(deviceId: string): Promise<void> {
    await this.#authorized("DELETE", `/v1/devices/${encodeURIComponent(deviceId)}`);
  }

  /**
   * An access token that is good for a while yet; refreshed first where that is due or when
   * `rejected` is the one at hand.
   * Rejects with `signed_out` when this device has to log in again, with `offline` when the server
   * cannot be reached.
   */
  async token(rejected?: string): Promise<string> {
    const now = this.#signedIn.get();
    if (!now) throw new GogochatError("signed_out", "not signed in");
    if (now.accessToken !== rejected && this.refreshDueMs(now) > 0) return now.accessToken;
    this.#refreshing ??= this.#refresh(now.accessToken).finally(() => {
      this.#refreshing = undefined;
    });
    return this.#refreshing;
  }

  /** In how many milliseconds the access token should be refreshed; at most 0 when it is due. */
  refreshDueMs(signedIn = this.#signedIn.get()): number {
    if (!signedIn) return Number.POSITIVE_INFINITY;
    return signedIn.accessExpiresMs - EARLY_MS - (Date.now() + signedIn.skewMs);
  }

  /** One tab refreshes; the others wait and take what it got. */
  async #refresh(stale: string): Promise<string> {
    const work = async (): Promise<string> => {
      // What is stored may be newer, by another tab. When nothing is, it was cleared: a sign-out is
      // told to each tab.
      const latest = this.#stored() ?? this.#signedIn.get();
      if (!latest) {
        this.#signedIn.set(undefined);
        throw new GogochatError("signed_out", "signed out in another tab");
      }
      if (latest.accessToken !== stale && this.refreshDueMs(latest) > 0) {
        this.#signedIn.set(latest);
        return latest.accessToken;
      }
      try {
        return await this.#enter("/v1/sessions/refresh", { refreshToken: latest.refreshToken });
      } catch (error) {
        if (error instanceof GogochatError && (error.code === "token_invalid" || error.code === "token_reused" || error.code === "token_expired")) {
          this.forget();
          throw new GogochatError("signed_out", error.message);
        }
        throw error;
      }
    };
    return this.#locks ? this.#locks.request("gogochat.refresh", work) : work();
  }

  /** A REST call of this device, with its token: the JSON of the answer. */
  call(method: string, path: string, body?: object): Promise<Record<string, unknown>> {
    return this.#authorized(method, path, body);
  }

  /** The user has another name or signature now. */
  renamed(user: Person): void {
    const now = this.#signedIn.get();
    if (now?.user.id !== user.id) return;
    this.#signedIn.set({ ...now, user });
    this.#keep();
  }

  async #enter(path: string, body: object): Promise<string> {
    const answer = await this.#request("POST", path, body);
    const signedIn: SignedIn = {
      user: personOf(answer["user"]),
      deviceId: String(answer["deviceId"]),
      accessToken: String(answer["accessToken"]),
      accessExpiresMs: Number(answer["accessExpiresMs"]),
      refreshToken: String(answer["refreshToken"]),
      ...(answer["administrator"] === true && { administrator: true }),
      skewMs: Number(answer[SKEW] ?? 0),
    };
    this.#signedIn.set(signedIn);
    this.#keep();
    return signedIn.accessToken;
  }

  async #authorized(method: string, path: string, body?: object): Promise<Record<string, unknown>> {
    const token = await this.token();
    try {
      return await this.#request(method, path, body, token);
    } catch (error) {
      if (!(error instanceof GogochatError) || error.code !== "token_expired") throw error;
      return this.#request(method, path, body, await this.token(token));
    }
  }

  async #request(method: string, path: string, body?: object, token?: string): Promise<Record<string, unknown>> {
    const headers: Record<string, string> = {};
    if (body) headers["content-type"] = "application/json";
    if (token) headers["authorization"] = `Bearer ${token}`;
    let response: Response;
    let answer: Record<string, unknown>;
    const over = new AbortController();
    const timer = setTimeout(() => over.abort(), REQUEST_TIMEOUT_MS);
    try {
      const init = { method, headers, signal: over.signal, ...(body && { body: JSON.stringify(body) }) };
      response = await this.#fetch(this.#base + path, init);
      answer = (await response.json().catch((error) => {
        // Of an error, the status says enough.
        if (response.ok) throw error;
        return {};
      })) as Record<string, unknown>;
    } catch {
      throw new GogochatError("offline", "the server cannot be reached", 1_000);
    } finally {
      clearTimeout(timer);
    }
    if (!response.ok) {
      if (typeof answer["code"] === "string") throw GogochatError.from(answer as { code: string; message: string });
      throw new GogochatError(response.status >= 500 ? "unavailable" : "internal", `HTTP status ${response.status}`);
    }
    const date = Date.parse(response.headers.get("date") ?? "");
    if (date) answer[SKEW] = date - Date.now();
    return answer;
  }

  /** Whether this device is still signed in after its last page was closed. */
  get kept(): boolean {
    return this.#storage.kept;
  }

  #keep(): void {
    const signedIn = this.#signedIn.get();
    if (signedIn) this.#storage.setItem(KEY, JSON.stringify(signedIn));
  }

  #stored(): SignedIn | undefined {
    try {
      return JSON.parse(this.#storage.getItem(KEY) ?? "null") ?? undefined;
    } catch {
      return undefined;
    }
  }
}

/** A person in JSON. */
export function personOf(json: unknown): Person {
  const { id = "", name = "", displayName = "", signature = "" } = (json ?? {}) as Record<string, string>;
  return { id, name, displayName: displayName || name, ...(signature && { signature }) };
}

const KEY = "gogochat.signed-in";
const SKEW = " skew";
/**
 * What takes longer is given up. A refresh on a connection that died while the device slept would
 * keep every tab from coming back; and for a while only, 30 s,
 * the server exchanges the same refresh token again.
 */
const REQUEST_TIMEOUT_MS = 10_000;
/** How long before it lapses an access token is refreshed. */
const EARLY_MS = 60_000;
