import { describe, expect, it } from "vitest";
import { parts } from "../src/format/links.ts";
import { onlyEmoji } from "../src/format/pictures.ts";

const links = (text: string) => parts(text).flatMap((part) => (part.href ? [part.text] : []));

describe("links in a text", () => {
  it("are found with their scheme, and nothing else is", () => {
    expect(links("see https://a.example/x?y=1#z and http://b.example")).toEqual(["https://a.example/x?y=1#z", "http://b.example"]);
    expect(links("javascript:alert(1) data:text/html,x ftp://a.example a.example file:///x")).toEqual([]);
  });

  it("leave the sentence its punctuation", () => {
    expect(links("(https://a.example/x). Then https://b.example/y, or https://c.example/z!")).toEqual([
      "https://a.example/x",
      "https://b.example/y",
      "https://c.example/z",
    ]);
    expect(links("https://a.example/wiki/A_(b)")).toEqual(["https://a.example/wiki/A_(b)"]);
    expect(links("看https://a.example/x。")).toEqual(["https://a.example/x"]);
  });

  it("end where Chinese and Japanese punctuation begins, whatever comes behind", () => {
    expect(links("看https://a.example/x。谢谢")).toEqual(["https://a.example/x"]);
    expect(links("（https://a.example/a）「https://a.example/b」、https://a.example/c，好；https://a.example/d！")).toEqual(
      ["a", "b", "c", "d"].map((it) => `https://a.example/${it}`),
    );
    expect(links("“https://a.example/q”…")).toEqual(["https://a.example/q"]);
    expect(links("https://zh.example/wiki/中国 好")).toEqual(["https://zh.example/wiki/中国"]);
  });

  it("are found without a scheme too: www and mail", () => {
    const hrefs = (text: string) => parts(text).flatMap((part) => (part.href ? [part.href] : []));
    expect(hrefs("see www.a.example/x. or 看www.b.example")).toEqual(["https://www.a.example/x", "https://www.b.example/"]);
    expect(hrefs("write to ada.l+x@mail.example.org, or <bob@b.example>!")).toEqual(["mailto:ada.l+x@mail.example.org", "mailto:bob@b.example"]);
    expect(hrefs("www. wwww.a.example www.a@b @ada a@b a@b.c1 x@y.example@z me@www.a.example")).toEqual(["mailto:me@www.a.example"]);
    expect(hrefs("https://a.example/@ada/b@c.example")).toEqual(["https://a.example/@ada/b@c.example"]);
  });

  it("take no time, whatever is written", () => {
    const began = performance.now();
    for (const piece of ["a", "a.", "@", "a@", "www.", "https://", "(", "-"]) parts(piece.repeat(16_384 / piece.length));
    expect(performance.now() - began).toBeLessThan(2_000);
  });

  it("lose no letter of the text", () => {
    for (const text of ["", "a", "https://a.example", "x https://a.example. y <b>https://</b> \n z", "https://[bad"]) {
      expect(parts(text).map((part) => part.text).join("")).toBe(text);
    }
  });

  it("that hide where they lead are no links", () => {
    expect(links("https://a.example/\u202egpj.exe")).toEqual([]);
  });
});

describe("a message of emoji alone", () => {
  it("is told from every other", () => {
    for (const text of ["😀", "👨‍👩‍👧‍👦", "❤️", "🇩🇪 🇨🇳", "👍🏽👍🏽", "1️⃣", "🏴󠁧󠁢󠁥󠁮󠁧󠁿", "😀😀😀😀😀😀"]) expect([text, onlyEmoji(text)]).toEqual([text, true]);
    for (const text of ["", " ", "a😀", "12", "#", "©", "😀!", "陈", "😀".repeat(7), "\u200d", "🇩"]) expect([text, onlyEmoji(text)]).toEqual([text, false]);
  });
});
