// A browser that is watched: whatever leaves the host, and whatever a page complains about, is kept
// and fails the run.

import { readFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { chromium } from "playwright-core";

const axe = await readFile(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");

/** How long a page may take for what is expected of it, in milliseconds. */
export const PATIENCE = 15_000;

export const DESKTOP = { width: 1280, height: 900 };
export const PHONE = { width: 390, height: 844 };

export class Stage {
  #browser;
  #origin;
  faults = [];

  static async open(executable, origin) {
    const stage = new Stage();
    stage.#origin = origin;
    stage.#browser = await chromium.launch({
      executablePath: executable,
      args: [
        "--no-sandbox",
        "--disable-background-networking",
        // No name leads anywhere, so that nothing could be loaded from elsewhere unseen.
        "--host-resolver-rules=MAP * ~NOTFOUND , EXCLUDE 127.0.0.1",
      ],
    });
    return stage;
  }

  /** A browser of somebody else: no cookies, no history. */
  async visitor(options = {}) {
    const context = await this.#browser.newContext({
      viewport: DESKTOP,
      colorScheme: "light",
      reducedMotion: "reduce",
      locale: "en-GB",
      timezoneId: "Europe/Vienna",
      ...options,
    });
    context.setDefaultTimeout(PATIENCE);
    context.on("request", (request) => {
      const url = new URL(request.url());
      if (url.origin !== this.#origin && url.protocol !== "data:") {
        this.faults.push(`a request left for ${url.origin}`);
      }
    });
    const page = await context.newPage();
    page.on("console", (message) => {
      if (["error", "warning"].includes(message.type())) {
        this.faults.push(`the console of ${page.url()} says: ${message.text()}`);
      }
    });
    page.on("pageerror", (error) => this.faults.push(`${page.url()} failed: ${error.message}`));
    page.on("dialog", async (dialog) => {
      this.faults.push(`${page.url()} opened a dialog: ${dialog.message()}`);
      await dialog.dismiss();
    });
    return page;
  }

  /** What was complained about since the last call; for a step that is meant to be complained about. */
  takeFaults() {
    return this.faults.splice(0);
  }

  async close() {
    await this.#browser.close();
  }
}

/** Goes to a path of the console. */
export async function visit(page, path) {
  await page.goto(path, { waitUntil: "load" });
}

export async function logIn(page, token) {
  await visit(page, "/login");
  await page.getByLabel("Token").fill(token);
  await page.getByRole("button", { name: "Log in" }).click();
  await page.getByRole("button", { name: "Log out" }).waitFor();
}

/** Presses Tab until `locator` has the focus; how often. */
export async function tabTo(page, locator, limit = 120) {
  for (let n = 1; n <= limit; n++) {
    await page.keyboard.press("Tab");
    if (await locator.evaluate((element) => element === document.activeElement)) return n;
  }
  throw new Error(`${locator} is not reached with ${limit} presses of Tab on ${page.url()}`);
}

/** What axe finds that is serious, in a line each. */
export async function violations(page) {
  // By the debugger, since the page's policy lets no script in.
  const found = await page.evaluate(async (source) => {
    if (!window.axe) (0, eval)(source);
    const tags = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"];
    const results = await window.axe.run(document, {
      resultTypes: ["violations"],
      runOnly: { type: "tag", values: tags },
    });
    return results.violations.map(({ id, impact, help, nodes }) => {
      const places = nodes.slice(0, 3).map((node) => `${node.target} ${node.failureSummary ?? ""}`);
      return { id, impact, help, places };
    });
  }, axe);
  return found
    .filter(({ impact }) => ["serious", "critical"].includes(impact))
    .map(({ id, help, places }) => `${id}: ${help}: ${places.join(" | ").replace(/\s+/g, " ")}`);
}

/** What stands out of the window on the right, where the page is wider than that. */
export async function overflow(page) {
  return page.evaluate(() => {
    const { scrollWidth, clientWidth } = document.documentElement;
    if (scrollWidth <= clientWidth) return [];
    const outside = [...document.querySelectorAll("body *")].filter(
      (element) => element.getBoundingClientRect().right > clientWidth,
    );
    const names = outside.map((element) => `${element.localName}.${element.className}`);
    return [`${scrollWidth - clientWidth} pixels wider than the window: ${names.slice(-3)}`];
  });
}
