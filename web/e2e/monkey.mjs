// Lets the monkey loose: `npm run monkey -- SEED SEEDS ACTIONS`, by default 50 seeds from 1 on with
// 2,000 actions each. `RESULTS=FILE` adds what came of each seed to a file, one JSON object a line.

import { appendFileSync } from "node:fs";
import { startChromium } from "./lib/browsers.mjs";
import { monkey } from "./lib/monkey.mjs";
import { startDev } from "./lib/server.mjs";

const [first = 1, seeds = 50, actions = 2_000] = process.argv.slice(2).map(Number);
let failed = 0;
for (let seed = first; seed < first + seeds; seed++) {
  const server = await startDev();
  const browser = await startChromium();
  const began = Date.now();
  const result = { seed, actions };
  try {
    const { took, ...counts } = await monkey({ server, browser }, seed, actions);
    Object.assign(result, counts);
    const each = Object.entries(took).map(([name, { times, ms }]) => `${name} ${times} x ${Math.round(ms / times)} ms`);
    if (process.env.TIMES) console.log(each.join(", "));
  } catch (error) {
    failed++;
    result.failed = error.message;
    console.error(error.message, error.stack);
  } finally {
    await browser.close();
    await server.stop();
  }
  result.seconds = Math.round((Date.now() - began) / 1_000);
  console.log(JSON.stringify(result));
  if (process.env.RESULTS) appendFileSync(process.env.RESULTS, `${JSON.stringify(result)}\n`);
}
process.exitCode = failed > 0 ? 1 : 0;
