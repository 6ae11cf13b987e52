// Lets the monkey loose: `npm run monkey -- SEED SEEDS ACTIONS`, by default 50 seeds from 1 on with
// 2,000 actions each.

import { startChromium } from "./lib/browsers.mjs";
import { monkey } from "./lib/monkey.mjs";
import { startDev } from "./lib/server.mjs";

const [first = 1, seeds = 50, actions = 2_000] = process.argv.slice(2).map(Number);
let failed = 0;
for (let seed = first; seed < first + seeds; seed++) {
  const server = await startDev();
  const browser = await startChromium();
  const began = Date.now();
  try {
    const { written, heard } = await monkey({ server, browser }, seed, actions);
    console.log(`seed ${seed}: ${actions} actions, ${written} written, ${heard} heard, ${Math.round((Date.now() - began) / 1_000)} s`);
  } catch (error) {
    failed++;
    console.error(error.message, error.stack);
  } finally {
    await browser.close();
    await server.stop();
  }
}
process.exitCode = failed > 0 ? 1 : 0;
