// What axe, the checker of accessibility, finds on a page, of whatever weight.

import axe from "axe-core";

/** Each finding as a line, once what moves has come to rest: what fades in has too little contrast for a moment. */
export async function findings(tab) {
  await tab.page.evaluate(() => {
    const ending = document.getAnimations().filter((one) => one.effect?.getTiming().iterations !== Infinity);
    return Promise.all(ending.map((one) => one.finished.catch(() => {})));
  });
  await tab.page.evaluate(axe.source);
  const { violations } = await tab.page.evaluate(() => globalThis.axe.run(document, { resultTypes: ["violations"] }));
  return violations.map(({ id, impact, nodes }) => `${id} (${impact}): ${nodes.map((node) => node.html).join(" | ")}`);
}
