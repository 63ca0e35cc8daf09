// Every page, in both themes and on a phone: what axe says, whether it fits, and a picture to look at.

import { join } from "node:path";

import { DESKTOP, PHONE, overflow, violations, visit } from "./lib/stage.js";

/** Faults of a page, each with where it was seen. */
export async function look(page, name, path, folder) {
  const faults = [];
  await page.setViewportSize(DESKTOP);
  await page.emulateMedia({ colorScheme: "light", reducedMotion: "reduce" });
  await visit(page, path);
  for (const [view, theme, size] of [
    ["light", "light", DESKTOP],
    ["dark", "dark", DESKTOP],
    ["phone", "dark", PHONE],
    ["phone-light", "light", PHONE],
  ]) {
    await page.setViewportSize(size);
    await page.emulateMedia({ colorScheme: theme, reducedMotion: "reduce" });
    // Contrast does not depend on the width, nor does what is there: one look at a phone is enough.
    if (view !== "phone-light") {
      for (const violation of await violations(page)) faults.push(`${name}, ${view}: ${violation}`);
    }
    const wider = await overflow(page);
    if (wider > 0) faults.push(`${name}, ${view}: ${wider} pixels wider than the window`);
    await page.screenshot({ path: join(folder, `${name}-${view}.png`), fullPage: true });
  }
  return faults;
}
