// Every page, in both themes and on a phone: what axe says, whether it fits, and a picture to look at.

import { join } from "node:path";

import { DESKTOP, PHONE, overflow, violations, visit } from "./lib/stage.js";

const VIEWS = [
  { view: "light", theme: "light", size: DESKTOP, asksAxe: true },
  // The theme changes colours alone and the width the arrangement alone: what axe thinks of the dark one
  // is asked on the phone.
  { view: "dark", theme: "dark", size: DESKTOP, asksAxe: false },
  { view: "phone", theme: "dark", size: PHONE, asksAxe: true },
];

/** A picture of the whole page, in a window that is as high: what sticks to its foot stands there. */
async function shoot(page, size, path) {
  const height = await page.evaluate(() => document.documentElement.scrollHeight);
  await page.setViewportSize({ width: size.width, height: Math.max(height, size.height) });
  await page.screenshot({ path });
}

/** Faults of a page, each with where it was seen. */
export async function look(page, name, path, folder) {
  const faults = [];
  await visit(page, path);
  for (const { view, theme, size, asksAxe } of VIEWS) {
    await page.setViewportSize(size);
    await page.emulateMedia({ colorScheme: theme, reducedMotion: "reduce" });
    const found = await overflow(page);
    if (asksAxe) found.push(...(await violations(page)));
    faults.push(...found.map((fault) => `${name}, ${view}: ${fault}`));
    await shoot(page, size, join(folder, `${name}-${view}.png`));
  }
  return faults;
}
