// Uses the operator console of a running daemon as a person would, in a real browser. Started by
// `tests/it/console_browser.rs`, which hands in where the daemon is and what it was filled with, as
// JSON on the standard input. Prints a line for each step; fails with what went wrong.

import { mkdir } from "node:fs/promises";
import { text } from "node:stream/consumers";

import { flows } from "./flows.js";
import { Stage, logIn } from "./lib/stage.js";
import { look } from "./pages.js";

const input = JSON.parse(await text(process.stdin));
const only = process.env.ONLY;
const faults = [];
const started = Date.now();

async function step(name, run) {
  const at = Date.now();
  try {
    await run();
    console.log(`ok    ${String(Date.now() - at).padStart(6)} ms  ${name}`);
  } catch (error) {
    faults.push(`${name}: ${error.stack ?? error}`);
    console.log(`FAIL  ${String(Date.now() - at).padStart(6)} ms  ${name}`);
  }
}

await mkdir(input.screenshots, { recursive: true });
const stage = await Stage.open(input.chromium, new URL(input.admin).origin);
try {
  const page = await stage.visitor({ baseURL: input.admin });
  await logIn(page, input.token);
  // Before anything is changed, so that there is something on every page.
  const looks = Object.entries(input.pages).map(([name, path]) => [`page ${name}`, name, path]);
  const stranger = await stage.visitor({ baseURL: input.admin });
  for (const [title, name, path] of looks) {
    if (only && !title.includes(only)) continue;
    const reader = name === "login" ? stranger : page;
    await step(title, async () => faults.push(...(await look(reader, name, path, input.screenshots))));
    // Chromium counts the status of a page that is not there as an error of the page.
    if (name === "fault") stage.takeFaults();
  }
  await page.setViewportSize({ width: 1280, height: 900 });
  await page.emulateMedia({ colorScheme: "light", reducedMotion: "reduce" });
  const later = [];
  for (const [name, run] of Object.entries(flows)) {
    if (only && !name.includes(only)) continue;
    await step(name, () => run({ stage, page, input, later }));
  }
  for (const run of later) await step("what should have happened meanwhile", run);
} finally {
  await stage.close();
}
faults.push(...stage.faults);
console.log(`${Date.now() - started} ms`);
if (faults.length > 0) {
  console.error(faults.join("\n\n"));
  process.exitCode = 1;
}
