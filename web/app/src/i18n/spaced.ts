// 中文排版。

/** 中文与拉丁字母、数字之间留一个空格。 */
export function spaced(parts: TemplateStringsArray, ...values: readonly (string | number)[]): string {
  return parts.reduce((text, part, i) => {
    const value = String(values[i - 1]);
    const before = HAN.test(text.slice(-1)) && LATIN.test(value.slice(0, 1)) ? " " : "";
    const after = LATIN.test(value.slice(-1)) && HAN.test(part.slice(0, 1)) ? " " : "";
    return text + before + value + after + part;
  });
}

const HAN = /\p{Script=Han}/u;
const LATIN = /[\p{Script=Latin}\d]/u;
