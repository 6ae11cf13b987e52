import { describe, expect, it } from "vitest";
import { parts } from "../src/format/links.ts";

const links = (text: string) => parts(text).flatMap((part) => (part.href ? [part.text] : []));

describe("links in a text", () => {
  it("are found with their scheme, and nothing else is", () => {
    expect(links("see https://a.example/x?y=1#z and http://b.example")).toEqual(["https://a.example/x?y=1#z", "http://b.example"]);
    expect(links("javascript:alert(1) data:text/html,x ftp://a.example www.a.example a.example")).toEqual([]);
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

  it("lose no letter of the text", () => {
    for (const text of ["", "a", "https://a.example", "x https://a.example. y <b>https://</b> \n z", "https://[bad"]) {
      expect(parts(text).map((part) => part.text).join("")).toBe(text);
    }
  });

  it("that hide where they lead are no links", () => {
    expect(links("https://a.example/\u202egpj.exe")).toEqual([]);
  });
});
