// A seeded monkey at the page, for a while; `npm run monkey -- SEED SEEDS ACTIONS` lets it go on.

import { test } from "node:test";
import { monkey } from "../lib/monkey.mjs";
import { stage } from "../lib/stage.mjs";

const on = stage();

for (const seed of [1, 2, 3]) {
  test(`a monkey with two tabs loses nothing, doubles nothing, and never loses the focus (seed ${seed})`, async (t) => {
    const { written, heard } = await monkey(on, seed, 400);
    t.diagnostic(`${written} messages written, ${heard} heard`);
  });
}
