// What an operator does: shown first, then done as it was shown, or not at all.

import { el, fill } from "./drawing.js";

const dialog = document.getElementById("act-dialog");
const form = document.getElementById("act-form");
const error = document.getElementById("act-error");
const summary = document.getElementById("act-summary");
const go = document.getElementById("act-go");
let wanted = null;
let shown = [];

export async function ask(path, options = {}) {
  const response = await fetch(path, { cache: "no-store", ...options });
  const body = await response.json().catch(() => ({}));
  if (!response.ok) throw new Error(body.error ?? `${path} answered ${response.status}`);
  return body;
}

// Ask for a reason, show what would be done, and do it when asked again.
export function act(name, body, title, text, done) {
  wanted = { name, body, done };
  form.reset();
  document.getElementById("act-title").textContent = title;
  document.getElementById("act-text").textContent = text;
  reconsider();
  dialog.showModal();
  document.getElementById("act-reason").focus();
}

function reconsider() {
  shown = [];
  error.textContent = "";
  fill(summary);
  go.textContent = "Preview";
  go.className = "primary";
}

async function send(dryRun) {
  const body = { ...wanted.body, reason: form.reason.value.trim(), dry_run: dryRun, shown };
  return ask(`../v1/actions/${wanted.name}`, {
    method: "POST",
    headers: { "content-type": "application/json", "x-cellplane-console": "1" },
    body: JSON.stringify(body),
  });
}

form.reason.addEventListener("input", () => { if (shown.length || error.textContent) reconsider(); });
form.addEventListener("submit", async (event) => {
  event.preventDefault();
  error.textContent = "";
  if (!form.reason.value.trim()) {
    error.textContent = "Say why: whoever is on call next has to know.";
    form.reason.focus();
    return;
  }
  go.disabled = true;
  try {
    if (!shown.length) {
      shown = (await send(true)).summary;
      fill(summary, el("p", {}, "This will be done:"), el("ul", {}, shown.map((line) => el("li", { class: "mono" }, line))));
      go.textContent = "Do it";
      go.className = "danger";
    } else {
      const answer = await send(false);
      dialog.close();
      wanted.done(`Done at revision ${answer.revision}: ${answer.summary[0]}`);
    }
  } catch (problem) {
    reconsider();
    error.textContent = problem.message;
  } finally {
    go.disabled = false;
    if (dialog.open) go.focus();
  }
});

for (const each of document.querySelectorAll("[data-close]")) each.addEventListener("click", () => each.closest("dialog").close());
