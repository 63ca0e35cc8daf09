"""A Slack receiver as the documentation of Bolt for Python leads one to write it: an App behind
FastAPI, a listener for messages, one SQLite file."""

import json
import os
import sqlite3
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import httpx
from fastapi import FastAPI, Request
from slack_bolt import App
from slack_bolt.adapter.fastapi import SlackRequestHandler
from slack_bolt.authorization import AuthorizeResult

IN_FLIGHT = 32

db = sqlite3.connect(os.path.join(os.environ["DATA"], "events.db"), check_same_thread=False)
db.execute("PRAGMA journal_mode = WAL")
db.execute("PRAGMA synchronous = FULL")
db.execute(
    "CREATE TABLE IF NOT EXISTS events"
    " (id TEXT PRIMARY KEY, event TEXT NOT NULL, sent INTEGER NOT NULL DEFAULT 0)"
)
db.commit()
lock = threading.Lock()
forwarders = ThreadPoolExecutor(IN_FLIGHT)
client = httpx.Client(
    base_url=os.environ["SERVAL_URL"],
    headers={"content-type": "application/json", "authorization": "Bearer bench"},
    limits=httpx.Limits(max_keepalive_connections=IN_FLIGHT),
)


def write(statement, values):
    with lock, db:
        db.execute(statement, values)


def forward(event_id, text):
    # A peer is spared the mapping: the ticket's number is the event's.
    ticket = f"tkt-{int(event_id[2:], 16)}"
    event = json.loads(text)
    body = (
        '{"channelTarget":{"slackChannel":{"integrationId":"int"}},"externalTicketId":"'
        f'{event["channel"]}:{event["ts"]}","externalTicketData":{text}}}'
    )
    while True:
        try:
            client.post(f"/v2/tickets/{ticket}/connect", content=body).raise_for_status()
            break
        except httpx.HTTPError:
            time.sleep(1)
    write("UPDATE events SET sent = 1 WHERE id = ?", (event_id,))


def authorize(**_):
    return AuthorizeResult(
        enterprise_id=None,
        team_id="T0BENCH01",
        bot_token="xoxb-bench",
        bot_id="B0BENCH01",
        bot_user_id="U0BENCH01",
    )


bolt = App(
    signing_secret=os.environ["SLACK_SECRET"],
    authorize=authorize,
    # Without it an event is answered before any listener has seen it.
    process_before_response=os.environ["ANSWER"] == "stored",
)


@bolt.event("message")
def message(event, body):
    text = json.dumps(event)
    write("INSERT OR IGNORE INTO events (id, event) VALUES (?, ?)", (body["event_id"], text))
    forwarders.submit(forward, body["event_id"], text)


for row in db.execute("SELECT id, event FROM events WHERE sent = 0").fetchall():
    forwarders.submit(forward, *row)

api = FastAPI()
handler = SlackRequestHandler(bolt)


@api.post("/webhooks/slack")
async def webhook(request: Request):
    return await handler.handle(request)
