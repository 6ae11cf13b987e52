// Drafts in two tabs of a browser, whose news of each other come late.

import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";

/** As localStorage: its keys are its own properties. */
class Values {
  getItem(key: string): string | null {
    return (this as unknown as Record<string, string>)[key] ?? null;
  }
  setItem(key: string, value: string): void {
    (this as unknown as Record<string, string>)[key] = value;
  }
  removeItem(key: string): void {
    delete (this as unknown as Record<string, string>)[key];
  }
}

/** A tab, and how it hears of a key that another has changed; null: of all at once. */
async function tab() {
  const events = new EventTarget();
  vi.stubGlobal("addEventListener", events.addEventListener.bind(events));
  vi.resetModules();
  const module = await import("../src/state/drafts.ts");
  return {
    set: module.setDraft,
    forget: module.forgetDrafts,
    text: () => module.drafts()["c"] ?? "",
    hear: (key: string | null) => events.dispatchEvent(Object.assign(new Event("storage"), { key, storageArea: key === null ? {} : undefined })),
  };
}

describe("drafts", () => {
  let values: Values;
  beforeEach(() => {
    values = new Values();
    vi.stubGlobal("localStorage", values);
  });
  afterEach(() => vi.unstubAllGlobals());
  const KEY = "gogochat.draft.c";

  it("are the same in all tabs, and gone in all of them once they are sent", async () => {
    const [one, two] = [await tab(), await tab()];
    one.set("c", "half a thought");
    two.hear(KEY);
    expect(two.text()).toBe("half a thought");
    two.set("c", "");
    one.hear(KEY);
    expect(one.text()).toBe("");
    expect((await tab()).text()).toBe("");
  });

  it("that were sent do not come back from a tab that hears of it after the storage was cleared", async () => {
    const [one, two] = [await tab(), await tab()];
    one.set("c", "ha");
    two.hear(KEY);
    one.set("c", "half");
    one.set("c", "");
    // All is cleared before the second tab has heard of the last two.
    values.removeItem(KEY);
    one.hear(null);
    two.hear(null);
    one.hear(KEY);
    expect(one.text()).toBe("");
    two.hear(KEY);
    expect(two.text()).toBe("");
  });

  it("are kept anew when the storage is cleared, and gone when the device signs out", async () => {
    const one = await tab();
    one.set("c", "half a thought");
    values.removeItem(KEY);
    one.hear(null);
    expect((await tab()).text()).toBe("half a thought");
    one.forget();
    expect(Object.keys(values)).toEqual([]);
    expect((await tab()).text()).toBe("");
  });
});
