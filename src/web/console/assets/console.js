"use strict";
// Makes pages that work better; every page works without it.

// Moments in the viewer's zone. What the server wrote, in UTC, stays in the title.
const short = new Intl.DateTimeFormat(undefined, {
  day: "2-digit", month: "short", hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23",
});
function localise(root) {
  for (const time of root.querySelectorAll("time:not([data-keep])")) {
    const at = new Date(time.dateTime);
    if (!Number.isNaN(at.getTime())) {
      time.textContent = short.format(at);
      time.dataset.keep = "";
    }
  }
}
localise(document);
const zone = document.querySelector("[data-zone]");
if (zone) {
  zone.textContent = `Times are of ${Intl.DateTimeFormat().resolvedOptions().timeZone}; point at one for UTC`;
}

// A box in the head of a table that selects all of it.
for (const table of document.querySelectorAll("table[data-select]")) {
  const head = table.querySelector("thead .pick");
  const boxes = table.querySelectorAll("tbody .pick input");
  if (!head || boxes.length === 0) continue;
  const all = document.createElement("input");
  all.type = "checkbox";
  all.setAttribute("aria-label", "Select all on this page");
  head.replaceChildren(all);
  const count = () => {
    const n = [...boxes].filter((box) => box.checked).length;
    all.checked = n === boxes.length;
    all.indeterminate = n > 0 && n < boxes.length;
  };
  all.addEventListener("change", () => {
    for (const box of boxes) box.checked = all.checked;
  });
  table.addEventListener("change", count);
  count();
}

// Ctrl+K goes to the search box.
document.addEventListener("keydown", (event) => {
  if (event.key !== "k" || !(event.ctrlKey || event.metaKey) || event.altKey) return;
  const box = document.getElementById("q");
  if (!box) return;
  event.preventDefault();
  box.focus();
  box.select();
});

// A form is sent once.
document.addEventListener("submit", (event) => {
  if (event.target.method !== "post") return;
  if (event.target.dataset.sent) event.preventDefault();
  event.target.dataset.sent = "yes";
});
addEventListener("pageshow", () => {
  for (const form of document.forms) delete form.dataset.sent;
});

// A page that says so is read again from time to time. Parts that did not change are left alone, and so
// is what somebody is in the middle of.
const seconds = Number(document.body.dataset.refresh);
async function refresh() {
  if (document.hidden) return;
  let answer;
  try {
    answer = await fetch(location.href, { headers: { "x-refresh": "1" }, cache: "no-store" });
  } catch {
    return;
  }
  if (answer.status === 401) return location.reload();
  if (!answer.ok) return;
  const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
  localise(fresh);
  for (const part of document.querySelectorAll("[data-live]")) {
    const other = fresh.querySelector(`[data-live="${part.dataset.live}"]`);
    const busy = part.contains(document.activeElement) || part.matches(":hover");
    if (other && !busy && !part.isEqualNode(other)) part.replaceWith(document.adoptNode(other));
  }
}
if (seconds > 0) {
  const again = async () => {
    await refresh();
    setTimeout(again, seconds * 1000);
  };
  setTimeout(again, seconds * 1000);
  document.addEventListener("visibilitychange", refresh);
}
