// What a person does, step by step. Each is given the stage, a page of a person who may do everything,
// and what the daemon was filled with.

import assert from "node:assert/strict";
import { createServer } from "node:http";

import { incident, servicenow } from "./lib/senders.js";
import { PATIENCE, logIn, tabTo, visit } from "./lib/stage.js";

/** Reads the page again until `probe` is content. */
async function until(page, what, probe) {
  const deadline = Date.now() + PATIENCE;
  while (!(await probe())) {
    if (Date.now() > deadline) throw new Error(`${what} does not come true on ${page.url()}`);
    await page.waitForTimeout(100);
    await page.reload();
  }
}

const standing = (page) => page.getByRole("region", { name: "Current state" });

const isConnected = (page) => () =>
  standing(page).locator(".state", { hasText: "connected" }).isVisible();

async function choose(page, name) {
  await page.getByRole("navigation", { name: "Console" }).getByRole("link", { name }).click();
}

export const flows = {
  async "nobody sees a page without logging in, and a wrong token is told so"({ stage, input }) {
    const page = await stage.visitor({ baseURL: input.admin });
    await visit(page, "/parked?source=slack");
    assert.equal(new URL(page.url()).pathname, "/login");
    await page.getByLabel("Token").fill("no-such-token");
    await page.getByRole("button", { name: "Log in" }).click();
    await page.getByRole("alert").waitFor();
    assert.match(await page.getByRole("alert").innerText(), /not one of the configured tokens/);
    // Chromium counts the status 401 as an error of the page.
    const told = stage.takeFaults().filter((fault) => !fault.includes("status of 401"));
    assert.deepEqual(told, []);
    await page.getByLabel("Token").fill(input.token);
    await page.keyboard.press("Enter");
    await page.getByRole("heading", { name: "Parked" }).waitFor();
    assert.equal(new URL(page.url()).search, "?source=slack", "where they wanted to go");
    const [cookie] = (await page.context().cookies()).filter(({ name }) => name === "serval-connect");
    assert.equal(cookie.httpOnly, true);
    assert.equal(cookie.sameSite, "Strict");
    await page.getByRole("button", { name: "Log out" }).click();
    await page.getByLabel("Token").waitFor();
    await page.context().addCookies([cookie]);
    await visit(page, "/parked");
    assert.equal(new URL(page.url()).pathname, "/login", "the session itself has ended");
    await page.context().close();
  },

  async "the overview shows an event that arrives, by itself"({ page, input, later }) {
    await visit(page, "/");
    const tile = page.locator(".tile", { hasText: "parked" }).locator(".tile-n");
    const before = Number(await tile.innerText());
    await servicenow(input, incident("INC0070001", "The lift stops between two floors"));
    // It is looked at again when the other flows are done: the page has to change meanwhile.
    const watcher = await page.context().newPage();
    await visit(watcher, "/");
    const count = watcher.locator(".tile", { hasText: "parked" }).locator(".tile-n");
    const now = Number(await count.innerText());
    assert.equal(now, before + 1);
    await servicenow(input, incident("INC0070002", "The lift does not stop at all"));
    later.push(async () => {
      await watcher.bringToFront();
      await watcher.waitForFunction(
        (least) => {
          const tiles = [...document.querySelectorAll(".tile")];
          const tile = tiles.find((tile) => tile.innerText.includes("parked"));
          return Number(tile.querySelector(".tile-n").innerText) !== least;
        },
        now,
        { timeout: 20_000 },
      );
      await watcher.close();
    });
  },

  async "a parked incident is mapped from the list and connects"({ page, input }) {
    await choose(page, /^Parked/);
    await page.getByLabel("Serval ticket id of INC0020001").fill("tkt-printer");
    await page.getByLabel(/^Reason/).fill("Grace said so");
    await page.getByRole("button", { name: "Map filled-in tickets" }).click();
    assert.match(await page.getByRole("status").innerText(), /1 ticket was mapped/);
    await visit(page, "/find?q=INC0020001");
    await until(page, "connected", isConnected(page));
    const story = page.getByRole("region", { name: "History" });
    assert.match(await story.innerText(), /tkt-printer/);
    assert.match(await story.innerText(), /ada/);
  },

  async "what cannot be mapped stays on the list and says why"({ page }) {
    await visit(page, "/parked");
    const field = page.getByLabel("Serval ticket id of INC0020002");
    await field.fill("not an id");
    await page.getByRole("button", { name: "Map filled-in tickets" }).click();
    await page.getByRole("alert").waitFor();
    assert.equal(await field.inputValue(), "not an id");
    assert.equal(await field.getAttribute("aria-invalid"), "true");
  },

  async "a dead event is replayed by itself, and the rest of its kind after a count"({ page, input }) {
    await choose(page, /^Dead/);
    const group = page.getByRole("article", { name: /permission_denied/ });
    assert.match(await group.innerText(), /3\s+events/);
    await group.getByRole("link", { name: "Show events" }).click();
    const first = page.getByRole("checkbox", { name: /^Select evt_/ }).first();
    const id = (await first.getAttribute("value")) ?? "";
    await first.check();
    await page.getByLabel(/^Reason/).fill("the key may connect it now");
    await page.getByRole("button", { name: "Replay selected" }).click();
    await page.getByRole("status").waitFor();
    await visit(page, `/events/${id}`);
    await until(page, "connected", isConnected(page));

    await visit(page, "/dead");
    await page.getByRole("link", { name: "Replay all…" }).first().click();
    const all = page.getByRole("button", { name: /Replay 2 events/ });
    await all.waitFor();
    await all.click();
    await page.getByRole("status").waitFor();
  },

  async "a conflict is shown with both values and decided"({ page, input }) {
    await choose(page, /^Conflicts/);
    const conflict = page.getByRole("article", { name: /INC0030001/ });
    assert.match(await conflict.innerText(), /tkt-mapped[\s\S]*tkt-named/);
    await conflict.getByRole("button", { name: /Replace with tkt-named/ }).click();
    await page.getByRole("status").waitFor();
    await visit(page, "/find?q=INC0030001");
    const mapping = page.getByRole("region", { name: "Mapping" });
    assert.match(await mapping.innerText(), /tkt-named/);
  },

  async "every kind of name finds its page"({ page, input }) {
    for (const [text, path] of input.searches) {
      const box = page.getByLabel("Find a ticket");
      await box.fill(text);
      await box.press("Enter");
      await page.waitForURL((url) => url.pathname === path || url.pathname === "/find");
      assert.equal(decodeURIComponent(new URL(page.url()).pathname), path, text);
    }
    await page.getByLabel("Find a ticket").fill("INC9999999");
    await page.getByLabel("Find a ticket").press("Enter");
    await page.getByText("Nothing is stored under").waitFor();
  },

  async "a script in a title is shown as text"({ page, input }) {
    for (const path of ["/parked", input.hostile.path]) {
      await visit(page, path);
      await page.getByText(input.hostile.title, { exact: false }).first().waitFor();
      assert.equal(await page.evaluate(() => window.wasRun), undefined, path);
      const made = await page.locator("main script, main img, main iframe").count();
      assert.equal(made, 0, path);
    }
  },

  async "a payload is hidden until asked for, and the asking is on record"({ page, input }) {
    await visit(page, input.hostile.path);
    const payload = page.getByRole("region", { name: "Payload" });
    assert.equal(await payload.locator("pre").count(), 0);
    await payload.getByRole("button", { name: "Show the payload" }).click();
    await page.locator("pre").first().waitFor();
    assert.match(await page.locator("pre").first().innerText(), /short_description/);
    assert.equal(await page.evaluate(() => window.wasRun), undefined);
  },

  async "pause and resume are one button each"({ page }) {
    await visit(page, "/");
    await page.getByRole("button", { name: "Pause the calls" }).click();
    await page.getByRole("button", { name: "Resume the calls" }).click();
    await page.getByRole("button", { name: "Pause the calls" }).waitFor();
  },

  async "the audit list says who did all that"({ page }) {
    await choose(page, "Audit");
    const rows = (await page.locator("tbody tr").allInnerTexts()).map((row) => row.replace(/\s+/g, " "));
    const has = (...words) => rows.some((row) => words.every((word) => row.includes(word)));
    assert.ok(has("ada", "INC0020001", "Grace said so"), rows.join("\n"));
    assert.ok(has("ada", "evt_", "the key may connect it now"), rows.join("\n"));
    assert.ok(has("ada", "tkt-mapped or tkt-named"), rows.join("\n"));
    assert.ok(has("ada", "2 dead events of servicenow (permission_denied)"), rows.join("\n"));
    assert.ok(rows.length >= 8, rows.join("\n"));
  },

  async "a form from elsewhere is refused, whoever is logged in"({ stage, page, input }) {
    // Another port of the same host is the same site: the browser sends the session's cookie along.
    const forger = createServer((_, answer) => {
      answer.setHeader("content-type", "text/html");
      answer.end(`<form method="post" action="${input.admin}/connects">
        <input name="do" value="pause"><input name="csrf" value="guessed"></form>`);
    });
    await new Promise((resolve) => forger.listen(0, "127.0.0.1", resolve));
    const other = await page.context().newPage();
    await other.goto(`http://127.0.0.1:${forger.address().port}/`);
    const answered = other.waitForResponse((response) => response.url().endsWith("/connects"));
    await other.evaluate(() => document.forms[0].submit());
    assert.equal((await answered).status(), 403);
    await other.close();
    forger.close();

    // And one of our own origin without what the page was given.
    await visit(page, "/");
    const forms = [
      {},
      { csrf: "" },
      { csrf: "guessed" },
    ];
    for (const form of forms) {
      const answer = await page.request.post("/connects", {
        form: { do: "pause", ...form },
        headers: { origin: input.admin },
      });
      assert.equal(answer.status(), 403, JSON.stringify(form));
    }
    // A link that somebody sends changes nothing.
    const linked = await page.request.get("/connects?do=pause");
    assert.ok([404, 405].includes(linked.status()), `${linked.status()}`);
    await visit(page, "/");
    await page.getByRole("button", { name: "Pause the calls" }).waitFor();
    stage.takeFaults();
  },

  async "a token that may only look sees everything and can do nothing"({ stage, input }) {
    const page = await stage.visitor({ baseURL: input.admin });
    await logIn(page, input.readOnlyToken);
    for (const path of ["/", "/parked", "/dead", "/conflicts", input.hostile.path]) {
      await visit(page, path);
      const buttons = await page.locator("main form[method=post] button").allInnerTexts();
      assert.deepEqual(buttons, [], path);
    }
    assert.match(await page.locator("main").innerText(), /may not view payloads/);
    const csrf = await page.locator("input[name=csrf]").first().inputValue();
    const answer = await page.request.post("/connects", {
      form: { do: "pause", csrf },
      headers: { origin: input.admin },
    });
    assert.equal(answer.status(), 403);
    await page.context().close();
  },

  async "without scripts one can log in, map and see it connected"({ stage, input }) {
    const page = await stage.visitor({ baseURL: input.admin, javaScriptEnabled: false });
    await logIn(page, input.token);
    await choose(page, /^Parked/);
    await page.getByRole("link", { name: "INC0020003" }).click();
    await page.getByLabel("Serval ticket id").fill("tkt-badge");
    const map = page.getByRole("button", { name: "Map", exact: true });
    await Promise.all([page.waitForEvent("load"), map.click()]);
    await until(page, "connected", isConnected(page));
    await page.getByRole("button", { name: "Log out" }).click();
    await page.getByLabel("Token").waitFor();
    await page.context().close();
  },

  async "the keyboard alone is enough"({ stage, input }) {
    const page = await stage.visitor({ baseURL: input.admin });
    await visit(page, "/login");
    // The field gets the focus by itself, a moment after the page is there.
    await page.getByLabel("Token").and(page.locator(":focus")).waitFor();
    await page.keyboard.type(input.token);
    await page.keyboard.press("Enter");
    await page.getByRole("button", { name: "Log out" }).waitFor();
    const skip = page.getByRole("link", { name: "Skip to the content" });
    assert.equal(await tabTo(page, skip), 1, "the way past the head comes first");
    assert.ok(await skip.isVisible());
    await page.keyboard.press("Enter");
    const main = page.locator("main");
    assert.ok(await main.evaluate((element) => element.contains(document.activeElement)));
    await page.keyboard.press("Control+k");
    await page.keyboard.type("INC0020004");
    await page.keyboard.press("Enter");
    await page.getByRole("heading", { name: /INC0020004/ }).waitFor();
    const field = page.getByLabel("Serval ticket id");
    await tabTo(page, field);
    await page.keyboard.type("tkt-door");
    await tabTo(page, page.getByRole("button", { name: "Map", exact: true }), 5);
    const outline = await page.evaluate(() => getComputedStyle(document.activeElement).outlineStyle);
    assert.notEqual(outline, "none", "one sees where one is");
    await Promise.all([page.waitForEvent("load"), page.keyboard.press("Enter")]);
    await until(page, "connected", isConnected(page));
    for (const [path, name] of [
      ["/", /^Pause the calls/],
      ["/parked?source=slack", "Map filled-in tickets"],
    ]) {
      await visit(page, path);
      await tabTo(page, page.getByRole("button", { name }));
    }
    await page.context().close();
  },
};
