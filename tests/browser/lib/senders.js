// Webhooks as ServiceNow signs them, from outside of the daemon.

import { createHmac, randomUUID } from "node:crypto";
import assert from "node:assert/strict";

/** Sends an incident; answers its acknowledgement. */
export async function servicenow({ webhooks, servicenowKey }, incident) {
  const body = JSON.stringify(incident);
  const id = `msg_${randomUUID()}`;
  const at = Math.floor(Date.now() / 1000).toString();
  const hmac = createHmac("sha256", Buffer.from(servicenowKey, "base64"));
  const signature = hmac.update(`${id}.${at}.${body}`).digest("base64");
  const answer = await fetch(`${webhooks}/webhooks/servicenow`, {
    method: "POST",
    body,
    headers: { "webhook-id": id, "webhook-timestamp": at, "webhook-signature": `v1,${signature}` },
  });
  assert.equal(answer.status, 202);
  return (await answer.json()).events[0];
}

/** An incident that nobody has heard of. */
export function incident(number, title) {
  return {
    sys_id: randomUUID().replaceAll("-", ""),
    sys_class_name: "incident",
    number,
    short_description: title,
    sys_updated_on: "2026-03-17 13:05:44",
    sys_mod_count: "1",
  };
}
