import { ERROR_CODES } from "@gogochat/client";
import { describe, expect, it } from "vitest";
import { en as enFirst } from "../src/i18n/en.ts";
import { enChat } from "../src/i18n/en-chat.ts";
import { zh as zhFirst } from "../src/i18n/zh.ts";
import { zhChat } from "../src/i18n/zh-chat.ts";
import { deviceName } from "../src/format/device.ts";
import { hue, initials } from "../src/format/identity.ts";

const en = { ...enFirst, ...enChat };
const zh = { ...zhFirst, ...zhChat };

describe("words", () => {
  it("in Chinese have a space before and behind Latin names, and none elsewhere", () => {
    expect(zh.sysAdded("Ada", "陈晓, Bob")).toBe("Ada 邀请陈晓, Bob 加入群聊");
    expect(zh.sysAdded("陈晓", "Bob")).toBe("陈晓邀请 Bob 加入群聊");
    expect(zh.sysCreated("陈晓", "Hikers")).toBe("陈晓创建了群聊“Hikers”");
    expect(zh.lastSeen("14:32")).toBe("14:32 在线");
    expect(zh.deviceOn("Firefox", "Linux")).toBe("Linux 上的 Firefox");
    expect(zh.said("我", "好的")).toBe("我：好的");
    expect(zh.optional("昵称")).toBe("昵称（选填）");
  });

  it("exist for every error in every language", () => {
    for (const words of [en, zh]) expect(Object.keys(words.errors).sort()).toEqual([...ERROR_CODES].sort());
  });

  it("in Chinese are Chinese", () => {
    const same = Object.keys(en).filter((key) => {
      const [a, b] = [en[key as keyof typeof en], zh[key as keyof typeof zh]];
      return typeof a === "string" && a === b;
    });
    expect(same).toEqual(["app", "quic", "wss", "ws"]);
  });
});

describe("an avatar", () => {
  it("has the initials of a name of any script", () => {
    expect(initials("Mona Okafor")).toBe("MO");
    expect(initials("陈晓")).toBe("陈");
    expect(initials("  ")).toBe("?");
    // A picture fills the disc.
    expect(initials("👩‍🚀 Ada")).toBe("👩‍🚀");
    expect(initials("W 🥾")).toBe("W");
    expect(initials("e\u0301toile a\u0300")).toBe("E\u0301A\u0300");
  });

  it("has always the same hue", () => {
    expect(hue("0190163d-8694-739b-aea5-966c26f8ad91")).toBe(hue("0190163d-8694-739b-aea5-966c26f8ad91"));
    expect(hue("x")).toBeGreaterThanOrEqual(0);
    expect(hue("x")).toBeLessThan(360);
  });
});

describe("a device's name", () => {
  it("says browser and system", () => {
    expect(deviceName("Mozilla/5.0 (X11; Linux x86_64; rv:153.0) Gecko/20100101 Firefox/153.0")).toBe("Firefox on Linux");
    expect(deviceName("Mozilla/5.0 (Macintosh) AppleWebKit/605 (KHTML, like Gecko) Version/26 Safari/605")).toBe("Safari");
    expect(deviceName("Mozilla/5.0 (Windows NT 10.0) AppleWebKit/537 Chrome/156 Safari/537")).toBe("Chrome on Windows");
  });
});
