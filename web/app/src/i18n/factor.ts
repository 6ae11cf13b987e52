// The words of two-step log-in, which come with it.

import { language } from "./index.ts";

const en = {
  title: "Two-step log-in",
  off: "Beside your password, each log-in can ask for a code of an authenticator app on your phone.",
  on: (since: string) => `On since ${since}. Each log-in asks for a code of your authenticator.`,
  codesLeft: (n: number) => (n === 1 ? "1 recovery code is left." : `${n} recovery codes are left.`),
  turnOn: "Turn on",
  turnOff: "Turn off",
  scan: "Read this with your authenticator, then type the code that it shows.",
  picture: "QR code for an authenticator",
  byHand: "Or type this secret there:",
  code: "Code",
  codeHint: "Six digits.",
  keep: "Keep these recovery codes where you find them without your phone. Each logs in once, in place of a code. They are not shown again.",
  copy: "Copy",
  copyAll: "Copy all",
  copied: "Copied",
  kept: "I have kept them",
  turnedOff: "Two-step log-in is off.",
};

const zh: typeof en = {
  title: "两步登录",
  off: "除密码外，每次登录还可要求输入手机身份验证器应用中的验证码。",
  on: (since) => `自 ${since} 起开启。每次登录都需要身份验证器的验证码。`,
  codesLeft: (n) => `还剩 ${n} 个恢复代码。`,
  turnOn: "开启",
  turnOff: "关闭",
  scan: "用身份验证器扫描此二维码，然后输入它显示的验证码。",
  picture: "供身份验证器扫描的二维码",
  byHand: "或在应用中手动输入此密钥：",
  code: "验证码",
  codeHint: "6 位数字。",
  keep: "请把这些恢复代码保存在没有手机也能找到的地方。每个代码可代替验证码登录一次，之后不再显示。",
  copy: "复制",
  copyAll: "全部复制",
  copied: "已复制",
  kept: "我已保存",
  turnedOff: "两步登录已关闭。",
};

/** The words in the current language; reading them in a view follows a change. */
export const tf = (): typeof en => (language() === "zh" ? zh : en);
