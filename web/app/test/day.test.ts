import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { dayNumber, today, watchDay } from "../src/format/day.ts";
import { dayName, listTime } from "../src/format/time.ts";
import { speakOfChats } from "../src/i18n/index.ts";

describe("the day", () => {
  const events = new EventTarget();
  beforeEach(async () => {
    vi.stubGlobal("document", { documentElement: {}, addEventListener: () => {} });
    await speakOfChats();
    vi.useFakeTimers();
    process.env["TZ"] = "Europe/Berlin";
    vi.stubGlobal("addEventListener", events.addEventListener.bind(events));
  });
  afterEach(() => {
    vi.unstubAllGlobals();
    vi.useRealTimers();
  });

  it("follows midnight and the zone while the page is open", () => {
    const evening = Date.UTC(2026, 10, 30, 22, 59);
    vi.setSystemTime(evening);
    watchDay();
    expect([dayName(evening), listTime(evening)]).toEqual(["Today", "23:59"]);
    vi.advanceTimersByTime(61_000);
    expect(dayName(evening)).toBe("Yesterday");
    expect(listTime(evening)).toBe("Yesterday");
    // Six hours to the west it is still the evening before.
    process.env["TZ"] = "America/New_York";
    events.dispatchEvent(new Event("focus"));
    expect([dayName(evening), listTime(evening)]).toEqual(["Today", "17:59"]);
  });

  it("of a device whose clock is wrong is shown, whatever it is", () => {
    vi.setSystemTime(Date.UTC(2026, 0, 1));
    watchDay();
    const tomorrow = Date.UTC(2026, 0, 2, 12);
    // From a server that is ahead: a date, not a weekday to come.
    expect(dayName(tomorrow)).toBe("2 January");
    expect(today().number).toBe(dayNumber(Date.UTC(2026, 0, 1)));
  });
});
