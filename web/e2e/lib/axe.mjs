// What axe, the checker of accessibility, finds on a page, of whatever weight.

import axe from "axe-core";

/** Each finding as a line. */
export async function findings(tab) {
  await tab.page.evaluate(axe.source);
  const { violations } = await tab.page.evaluate(() => globalThis.axe.run(document, { resultTypes: ["violations"] }));
  return violations.map(({ id, impact, nodes }) => `${id} (${impact}): ${nodes.map((node) => node.html).join(" | ")}`);
}
