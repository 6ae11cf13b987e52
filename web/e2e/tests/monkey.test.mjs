// A seeded monkey at the page, for a moment; `npm run monkey -- SEED SEEDS ACTIONS` lets it go on.

import { test } from "node:test";
import { monkey } from "../lib/monkey.mjs";
import { stage } from "../lib/stage.mjs";

const on = stage();

test("a monkey with two tabs loses nothing, doubles nothing, and never loses the focus", async (t) => {
  const { written, heard } = await monkey(on, 1, 60);
  t.diagnostic(`${written} messages written, ${heard} heard`);
});
