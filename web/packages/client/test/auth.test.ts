import { describe, expect, it, vi } from "vitest";
import { Auth, type KeyValues } from "../src/auth.ts";
import { GogochatError } from "../src/errors.ts";

/** What tabs share. */
class Shared implements KeyValues {
  readonly #values = new Map<string, string>();
  getItem(key: string) {
    return this.#values.get(key) ?? null;
  }
  setItem(key: string, value: string) {
    this.#values.set(key, value);
  }
  removeItem(key: string) {
    this.#values.delete(key);
  }
}

/** The lock of the browser: one holder after the other. */
function locks(): LockManager {
  let last: Promise<unknown> = Promise.resolve();
  return {
    request: (_: string, work: () => Promise<unknown>) => {
      last = last.then(work, work);
      return last;
    },
  } as unknown as LockManager;
}

/** A server whose refresh tokens work once. */
function server(lifeMs = 3_600_000) {
  const state = { n: 0, refreshes: 0, down: false, refused: "" };
  const fetch = vi.fn(async (input: RequestInfo | URL, init?: RequestInit) => {
    await Promise.resolve();
    if (state.down) throw new TypeError("network");
    const path = String(input);
    const body = JSON.parse(String(init?.body ?? "{}"));
    if (state.refused) return json(401, { status: 16, code: state.refused, message: "no" });
    if (path.endsWith("/refresh")) {
      state.refreshes++;
      if (body.refreshToken !== `r${state.n}`) return json(401, { status: 16, code: "token_reused", message: "again" });
    }
    if (path === "/v1/sessions/current") return json(200, {});
    state.n++;
    return json(200, {
      user: { id: "u", name: "ann", displayName: "Ann" },
      deviceId: "d",
      accessToken: `a${state.n}`,
      // int64 in proto3 JSON is a string.
      accessExpiresMs: String(Date.now() + lifeMs),
      refreshToken: `r${state.n}`,
    });
  });
  return { state, fetch: fetch as unknown as typeof globalThis.fetch };
}

function json(status: number, body: object): Response {
  return new Response(JSON.stringify(body), { status });
}

describe("auth", () => {
  it("signs in, remembers, signs out", async () => {
    const storage = new Shared();
    const { fetch } = server();
    const auth = new Auth({ storage, fetch });
    expect(auth.signedIn.get()).toBeUndefined();
    await auth.logIn("ann", "password", "test");
    expect(new Auth({ storage, fetch }).signedIn.get()).toMatchObject({ accessToken: "a1", user: { name: "ann" } });
    await auth.logOut();
    expect(new Auth({ storage, fetch }).signedIn.get()).toBeUndefined();
  });

  it("uses a token until it is nearly over, then refreshes once for all who ask", async () => {
    const storage = new Shared();
    const { fetch, state } = server(30_000);
    const auth = new Auth({ storage, fetch });
    await auth.logIn("ann", "password", "test");
    expect(await Promise.all([auth.token(), auth.token(), auth.token()])).toEqual(["a2", "a2", "a2"]);
    expect(state.refreshes).toBe(1);
  });

  it("refreshes once over any number of tabs", async () => {
    const storage = new Shared();
    const shared = locks();
    const { fetch, state } = server();
    const first = new Auth({ storage, fetch, locks: shared });
    await first.logIn("ann", "password", "test");
    const tabs = [first, new Auth({ storage, fetch, locks: shared }), new Auth({ storage, fetch, locks: shared })];
    expect(await Promise.all(tabs.map((tab) => tab.token("a1")))).toEqual(["a2", "a2", "a2"]);
    expect(state.refreshes).toBe(1);
    expect(tabs.map((tab) => tab.signedIn.get()?.accessToken)).toEqual(["a2", "a2", "a2"]);
  });

  it("is signed out when the server has revoked the device, and not when it is only out of reach", async () => {
    const storage = new Shared();
    const { fetch, state } = server();
    const auth = new Auth({ storage, fetch });
    await auth.logIn("ann", "password", "test");
    state.down = true;
    await expect(auth.token("a1")).rejects.toMatchObject({ code: "offline", retryable: true });
    expect(auth.signedIn.get()).toBeDefined();
    state.down = false;
    state.refused = "token_reused";
    await expect(auth.token("a1")).rejects.toMatchObject({ code: "signed_out" });
    expect(auth.signedIn.get()).toBeUndefined();
  });

  it("gives up a request that is not answered, and may make it again", async () => {
    vi.useFakeTimers();
    try {
      const storage = new Shared();
      const { fetch: answering } = server();
      let dead = false;
      const fetch = ((input: string, init: RequestInit) => {
        if (!dead) return answering(input, init);
        return new Promise((_, reject) => init.signal?.addEventListener("abort", () => reject(init.signal?.reason)));
      }) as unknown as typeof globalThis.fetch;
      const auth = new Auth({ storage, fetch, locks: locks() });
      await auth.logIn("ann", "password", "test");
      dead = true;
      let failure: unknown;
      void auth.token("a1").catch((error) => (failure = error));
      await vi.advanceTimersByTimeAsync(9_900);
      expect(failure).toBeUndefined();
      await vi.advanceTimersByTimeAsync(200);
      expect(failure).toMatchObject({ code: "offline", retryable: true });
      dead = false;
      expect(await auth.token("a1")).toBe("a2");
      expect(vi.getTimerCount()).toBe(0);
    } finally {
      vi.useRealTimers();
    }
  });

  it("takes an answer that breaks off for none", async () => {
    const storage = new Shared();
    const { fetch: answering } = server();
    let cut = false;
    const fetch = (async (input: string, init: RequestInit) =>
      cut ? new Response('{"user":{"id":', { status: 200 }) : answering(input, init)) as unknown as typeof globalThis.fetch;
    const auth = new Auth({ storage, fetch });
    await auth.logIn("ann", "password", "test");
    cut = true;
    await expect(auth.token("a1")).rejects.toMatchObject({ code: "offline", retryable: true });
    expect(auth.signedIn.get()?.accessToken).toBe("a1");
  });

  it("tells faults by their code and field", async () => {
    const fetch = (async () =>
      json(400, {
        status: 3,
        code: "invalid_argument",
        message: "name: too short",
        violations: [{ field: "name", description: "too short" }],
      })) as unknown as typeof globalThis.fetch;
    const failure = await new Auth({ storage: new Shared(), fetch }).register("x", "password", "", "test").catch((e) => e);
    expect(failure).toBeInstanceOf(GogochatError);
    expect(failure).toMatchObject({ code: "invalid_argument", violations: [{ field: "name" }] });
  });

  it("reads a code it does not know, and an answer that is none, as a fault of the server", async () => {
    for (const [answer, code] of [
      [json(400, { code: "from_the_future", message: "?" }), "internal"],
      [new Response("<html>", { status: 502 }), "unavailable"],
    ] as const) {
      const fetch = (async () => answer) as unknown as typeof globalThis.fetch;
      await expect(new Auth({ storage: new Shared(), fetch }).logIn("a", "b", "c")).rejects.toMatchObject({ code });
    }
  });
});
