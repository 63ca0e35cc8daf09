// A Slack receiver as the documentation of Bolt and of better-sqlite3 leads one to write it: an App
// on the HTTPReceiver, a listener for messages, one SQLite file.
"use strict";

const path = require("node:path");
const { App, HTTPReceiver } = require("@slack/bolt");
const Database = require("better-sqlite3");

const { ANSWER, DATA, PORT, SERVAL_URL, SLACK_SECRET } = process.env;
const IN_FLIGHT = 32;

const db = new Database(path.join(DATA, "events.db"));
db.pragma("journal_mode = WAL");
// In WAL mode better-sqlite3 has NORMAL, which may lose what was committed when the power goes.
db.pragma("synchronous = FULL");
db.exec(
  "CREATE TABLE IF NOT EXISTS events (id TEXT PRIMARY KEY, event TEXT NOT NULL, sent INTEGER NOT NULL DEFAULT 0)",
);
const insert = db.prepare("INSERT OR IGNORE INTO events (id, event) VALUES (?, ?)");
const markSent = db.prepare("UPDATE events SET sent = 1 WHERE id = ?");
const unsent = db.prepare("SELECT id, event FROM events WHERE sent = 0");

const waiting = [];
let inFlight = 0;

function forward(id, event) {
  waiting.push({ id, event });
  next();
}

function next() {
  while (inFlight < IN_FLIGHT && waiting.length > 0) {
    const item = waiting.shift();
    inFlight += 1;
    connect(item)
      .catch(() => setTimeout(() => forward(item.id, item.event), 1000))
      .finally(() => {
        inFlight -= 1;
        next();
      });
  }
}

async function connect({ id, event }) {
  // A peer is spared the mapping: the ticket's number is the event's.
  const ticket = `tkt-${parseInt(id.slice(2), 16)}`;
  const { channel, ts } = JSON.parse(event);
  const answer = await fetch(`${SERVAL_URL}/v2/tickets/${ticket}/connect`, {
    method: "POST",
    headers: { "content-type": "application/json", authorization: "Bearer bench" },
    body: `{"channelTarget":{"slackChannel":{"integrationId":"int"}},"externalTicketId":"${channel}:${ts}","externalTicketData":${event}}`,
  });
  await answer.arrayBuffer();
  if (!answer.ok) throw new Error(`Serval answered ${answer.status}`);
  markSent.run(id);
}

const app = new App({
  receiver: new HTTPReceiver({
    signingSecret: SLACK_SECRET,
    endpoints: "/webhooks/slack",
    port: Number(PORT),
    // Bolt's own default is to answer an event before any listener has seen it.
    processBeforeResponse: ANSWER === "stored",
    logLevel: "error",
  }),
  authorize: async () => ({ botToken: "xoxb-bench", botId: "B0BENCH01", botUserId: "U0BENCH01" }),
  logLevel: "error",
});

app.event("message", async ({ event, body }) => {
  const text = JSON.stringify(event);
  insert.run(body.event_id, text);
  forward(body.event_id, text);
});

for (const { id, event } of unsent.all()) forward(id, event);
app.start({ host: "127.0.0.1", port: Number(PORT) });
