// The console: reads what the control plane tells, draws it, and reads anew whenever an event says that it changed.

import { act, ask } from "./acting.js";
import * as draw from "./drawing.js";

const MOST_PUSHES = 50;
const PAUSE_MS = 800; // events come in bursts; the page is read once for all of them
const QUIET_MS = 15000; // shares of a drain, and times since, change without an event
const $ = (id) => document.getElementById(id);
const { el, fill } = draw;

let state = null;
let pushes = [];
let pending = [];
const known = new Set();
let first = true;

function connection(kind, words) {
  $("live").className = `live ${kind}`;
  if ($("live-text").textContent !== words) $("live-text").textContent = words;
}

const say = (words) => { $("said").textContent = words; };
const mayAct = () => state !== null && !state.you.why_not;

function button(words, key, name, body, title, text, kind = "") {
  if (!mayAct()) return null;
  return el("button", { type: "button", class: `small ${kind}`, "data-key": key, onclick: () => act(name, body, title, text, acted) }, words);
}

function acted(words) {
  say(words);
  refresh();
}

async function readState() {
  const form = $("fleet-filter");
  const query = new URLSearchParams({ node: form.elements.node.value.trim(), state: form.elements.state.value });
  state = await ask(`../v1/console?${query}`);
}

async function readPushes() {
  const cause = $("cause").value;
  const told = await ask(`../v1/pushes?limit=${MOST_PUSHES}${cause ? `&cause=${cause}` : ""}`);
  pushes = told.pushes;
  pending = told.pending;
}

function show() {
  const actions = {
    frozen: () => button("Resume pushes", "resume", "resume", {}, "Resume pushes", "What waited goes out to every Envoy at once.", "primary"),
    held: (told) => button("Release", `release-${told.id}`, "release", { id: told.id }, `Release push ${told.id}`, "It goes out to the fleet although it was held.", "danger"),
    wave_going: (told) => [
      button("Halt", `halt-${told.id}`, "wave", { id: told.id, word: "halt" }, `Halt the wave of push ${told.id}`, "Its Envoys get the last good state again."),
      button("Send to all", `all-${told.id}`, "wave", { id: told.id, word: "all" }, `Send push ${told.id} to all`, "Everything that waits goes to every Envoy at once.", "danger"),
    ],
    wave_halted: (told) => [
      button("Try again", `retry-${told.id}`, "wave", { id: told.id, word: "retry" }, `Try push ${told.id} again`, "It begins with the first Envoys again."),
      button("Send to all", `all-${told.id}`, "wave", { id: told.id, word: "all" }, `Send push ${told.id} to all`, "Everything that waits goes to every Envoy at once.", "danger"),
    ],
    rejected: (told) => button("Release", `release-${told.id}`, "release", { id: told.id }, `Release ${told.id}`, "Envoys are sent the version again that they rejected.", "danger"),
  };
  fill($("notices"), state.notices.map((told) => draw.notice(told, pending, actions[told.kind]?.(told) ?? "")));
  const frozen = state.notices.some((told) => told.kind === "frozen");
  document.title = `${frozen ? "FROZEN · " : ""}${state.fleet.states.REJECTED ? "REJECTED · " : ""}Cellplane`;
  $("freeze").hidden = frozen || !mayAct();
  $("who").textContent = state.you.name || "read-only";
  $("who").title = state.you.why_not;
  fill($("tiles"), draw.tiles(state, pushes));
  fill($("cells-rows"), state.cells.map((told) => draw.cellRow(told, told.moves.map((to) => {
    const words = draw.moveWords(told.state, to);
    return button(words, `cell-${told.id}-${to}`, "cell", { cell: told.id, state: to }, `${words}: cell ${told.id}`, `Cell ${told.id} (${told.name}) goes from ${told.state} to ${to}.`, to === "QUARANTINED" ? "danger" : "");
  }))));
  $("cells-hint").textContent = state.cells.length ? "share of the traffic that nobody owns" : "There is no cell yet: see cellplane cells add --help.";
  const { fleet } = state;
  fill($("fleet-summary"), draw.fleetSummary(fleet));
  fill($("fleet-rows"), fleet.shown.map(draw.nodeRow));
  $("fleet-hint").textContent = fleet.nodes === 0 ? "no Envoy is connected" : `${fleet.shown.length} of ${fleet.matching} shown, the worst first`;
  fill($("strip"), draw.strip(pushes, openPush));
  fill($("pushes-list"), pushes.map((push) => draw.pushItem(push, !first && !known.has(push.id), openPush)));
  for (const push of pushes) known.add(push.id);
  first = false;
  document.body.dataset.revision = state.revision ?? "";
}

let reading = false;
let again = false;
async function refresh() {
  if (reading) { again = true; return; }
  reading = true;
  try {
    do {
      again = false;
      await Promise.all([readState(), readPushes()]);
      show();
    } while (again);
  } catch (problem) {
    connection("off", `Not reached: ${problem.message}`);
  } finally {
    reading = false;
  }
}

let soon = 0;
function refreshSoon() {
  soon ||= setTimeout(() => { soon = 0; refresh(); }, PAUSE_MS);
}

function listen() {
  const events = new EventSource("../v1/events");
  events.addEventListener("open", () => { connection("on", "Live"); refreshSoon(); });
  events.addEventListener("error", () => {
    connection("off", "Reconnecting…");
    // A browser gives up for good where the answer was no stream; a restarting control plane deserves another try.
    if (events.readyState === EventSource.CLOSED) setTimeout(listen, 3000);
  });
  for (const kind of ["push", "outcome", "wave", "fleet", "frozen", "resumed", "held", "released", "lost"]) events.addEventListener(kind, refreshSoon);
  events.addEventListener("push", (event) => say(`Push: ${draw.headline(JSON.parse(event.data))}`));
  events.addEventListener("frozen", (event) => say(`Pushes are frozen: ${JSON.parse(event.data).reason}`));
  events.addEventListener("resumed", () => say("Pushes go out again"));
}

async function openPush(id) {
  const dialog = $("push-dialog");
  $("push-title").textContent = `Push ${id}`;
  fill($("push-body"), el("p", {}, "Reading…"));
  if (!dialog.open) dialog.showModal();
  try {
    const push = await ask(`../v1/pushes/${id}`);
    const rollback = button("Roll back", `rollback-${id}`, "rollback", { id }, `Roll back push ${id}`, "Its records become what they were right before it. Claims stay where they are.", "danger");
    rollback?.addEventListener("click", () => dialog.close(), { capture: true });
    fill($("push-body"), draw.pushDetails(push, rollback));
  } catch (problem) {
    fill($("push-body"), el("p", { class: "error" }, problem.message));
  }
}

$("freeze").addEventListener("click", () => act("freeze", {}, "Freeze pushes", "Nothing goes out to any Envoy on any replica until you resume: no cell, no rule, no endpoint, no quarantine.", acted));
$("cause").addEventListener("change", refresh);
$("fleet-filter").addEventListener("input", refreshSoon);
$("fleet-filter").addEventListener("submit", (event) => { event.preventDefault(); refresh(); });
$("explain-form").addEventListener("submit", async (event) => {
  event.preventDefault();
  const { method, url, headers } = event.target.elements;
  const query = new URLSearchParams({ method: method.value, url: url.value.trim() });
  for (const line of headers.value.split("\n")) if (line.trim()) query.append("header", line);
  $("explain-error").textContent = "";
  fill($("explain-answer"));
  try {
    fill($("explain-answer"), draw.explanation(await ask(`../v1/explain?${query}`)));
  } catch (problem) {
    $("explain-error").textContent = problem.message;
  }
});

const THEMES = ["auto", "light", "dark"];
function theme(name) {
  if (name === "auto") delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = name;
  $("theme").textContent = `Theme: ${name}`;
  localStorage.setItem("theme", name);
}
$("theme").addEventListener("click", () => theme(THEMES[(THEMES.indexOf(localStorage.getItem("theme") ?? "auto") + 1) % THEMES.length]));
theme(THEMES.includes(localStorage.getItem("theme")) ? localStorage.getItem("theme") : "auto");

setInterval(() => document.querySelectorAll("time").forEach(draw.tick), 1000);
setInterval(refresh, QUIET_MS);
listen();
refresh();
