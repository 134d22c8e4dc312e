// What the control plane tells, made into elements. Text goes in as text alone: nothing here is parsed as HTML.

export function el(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) made.addEventListener(name.slice(2), value);
    else made.setAttribute(name, value === true ? "" : value);
  }
  made.append(...children.flat().filter((child) => child !== null && child !== undefined && child !== ""));
  return made;
}

// Put other children in, and keep the focus where it was: on the element of the same data-key.
export function fill(parent, ...children) {
  const key = parent.contains(document.activeElement) ? document.activeElement.dataset.key : undefined;
  parent.replaceChildren(...children.flat().filter((child) => child !== null && child !== ""));
  if (key) parent.querySelector(`[data-key="${CSS.escape(key)}"]`)?.focus();
}

export function span(milliseconds) {
  if (milliseconds === null || milliseconds === undefined) return "–";
  return milliseconds < 10000 ? `${Math.round(milliseconds)} ms` : `${Math.round(milliseconds / 1000)} s`;
}

export function age(seconds) {
  const whole = Math.max(0, Math.floor(seconds));
  if (whole < 60) return `${whole} s`;
  if (whole < 3600) return `${Math.floor(whole / 60)} min`;
  if (whole < 86400) return `${Math.floor(whole / 3600)} h`;
  return `${Math.floor(whole / 86400)} d`;
}

// How long ago something was; the page writes all of these anew as time goes by.
export function ago(at) {
  const moment = typeof at === "number" ? new Date(at * 1000) : new Date(at);
  const made = el("time", { datetime: moment.toISOString(), title: moment.toISOString().replace("T", " ").slice(0, 19) + " UTC" });
  tick(made);
  return made;
}

export function tick(made) {
  made.textContent = `${age((Date.now() - new Date(made.dateTime)) / 1000)} ago`;
}

const STATES = {
  ACTIVE: "good", SYNCED: "good", CANARY: "info", PROVISIONING: "info", CORDONED: "warn", DRAINING: "warn",
  STALE: "warn", QUARANTINED: "bad", REJECTED: "bad",
};
const badge = (words, kind = STATES[words] ?? "") => el("span", { class: `badge ${kind}` }, words);
const percent = (share) => `${share > 0 && share < 0.001 ? "<0.1" : Number((share * 100).toFixed(1))} %`;
const cell = (label, wide, ...children) => el("td", { "data-label": label, class: wide ? "wide" : null }, ...children);

const MOVES = {
  ACTIVE: (from) => (from === "QUARANTINED" ? "End quarantine" : from === "CORDONED" ? "Uncordon" : from === "DRAINING" ? "End drain" : "Activate"),
  CANARY: (from) => (from === "QUARANTINED" ? "End quarantine" : "Make canary"),
  CORDONED: (from) => (from === "QUARANTINED" ? "End quarantine" : "Cordon"), QUARANTINED: () => "Quarantine",
};
export const moveWords = (from, to) => MOVES[to](from);

export function notice(told, pending, act) {
  const kinds = { frozen: "frozen", wave_going: "frozen", wave_halted: "bad", held: "warn", rejected: "bad", stale: "warn", not_ready: "bad", refused: "bad", rules_problem: "bad" };
  const waits = ["frozen", "held", "wave_going", "wave_halted"].includes(told.kind) && pending.length
    ? el("details", {}, el("summary", {}, `What waits (${pending.length} lines)`), el("ul", {}, pending.map((line) => el("li", { class: "mono" }, line))))
    : null;
  return el("div", { class: `notice ${kinds[told.kind] ?? "warn"}`, "data-kind": told.kind },
    el("div", {}, el("strong", {}, told.title), el("span", { class: "words" }, told.text), waits), el("div", { class: "buttons" }, act));
}

export function tiles(state, pushes) {
  const { fleet, cells } = state;
  const serving = cells.filter((each) => ["ACTIVE", "CANARY", "CORDONED", "DRAINING"].includes(each.state)).length;
  const last = pushes.find((push) => push.outcome.nodes > 0);
  const rejected = fleet.states.REJECTED ?? 0;
  const tile = (kind, name, value, more) => el("div", { class: kind }, el("dt", {}, name), el("dd", {}, value), el("dd", { class: "more" }, more));
  return [
    tile("", "Revision", String(state.revision ?? "–"), state.published_seconds_ago === null ? "nothing published" : `published ${age(state.published_seconds_ago)} ago`),
    tile(serving ? "" : "bad", "Cells serving", `${serving} / ${cells.length}`, state.quarantined.length ? `${state.quarantined.length} records unreadable` : "all records readable"),
    tile(fleet.behind ? "warn" : "", "Envoys up to date", `${fleet.nodes - fleet.behind} / ${fleet.nodes}`, `${fleet.replicas.length} control plane${fleet.replicas.length === 1 ? "" : "s"}`),
    tile(rejected ? "bad" : "", "Envoys that reject", String(rejected), rejected ? "they run their last good version" : "none"),
    tile("", "Last push, p99", last ? span(last.outcome.p99_ms) : "–", last ? `to ${last.outcome.nodes} Envoy${last.outcome.nodes === 1 ? "" : "s"}` : "no push yet"),
  ];
}

export function cellRow(told, actions) {
  const bar = el("i");
  bar.style.width = `${told.share * 100}%`;
  const drain = told.drain_seconds_left === null ? "" : ` · ${age(told.drain_seconds_left)} of drain left`;
  const health = told.problems.length
    ? told.problems.map((problem) => el("span", { class: problem.startsWith("rejected") || problem.startsWith("has no") ? "problem" : "note" }, problem))
    : badge("ok", "good");
  const zones = told.zones.length ? ` · zone${told.zones.length === 1 ? "" : "s"}\u00a0${told.zones.join(", ")}` : "";
  return el("tr", {},
    el("td", {}, el("span", { class: "name" }, `${told.id} · ${told.name}`), el("span", { class: "sub" }, `${told.endpoints} endpoint${told.endpoints === 1 ? "" : "s"}${zones}${told.region ? ` · ${told.region}` : ""}`)),
    el("td", {}, badge(told.state), told.previous_state ? el("span", { class: "sub" }, `was ${told.previous_state}`) : ""),
    cell(null, true, el("div", { class: "share" }, el("span", { class: "track", "aria-hidden": "true" }, bar), el("span", { class: "number" }, percent(told.share))), el("span", { class: "sub" }, `weight ${told.weight}${drain}`)),
    cell(null, true, health),
    cell(null, true, el("span", {}, told.updated_by, " · ", ago(told.updated_at)), el("span", { class: "sub" }, told.reason || "no reason given")),
    cell(null, true, el("div", { class: "buttons" }, actions)));
}

export function fleetSummary(fleet) {
  const order = ["REJECTED", "STALE", "NOT SENT", "SYNCED"].filter((state) => fleet.states[state]);
  const bars = order.map((state) => {
    const bar = el("i", { class: state.replace(" ", "_") });
    bar.style.flex = String(fleet.states[state]);
    return bar;
  });
  const replicas = fleet.replicas.map((replica) => el("span", {}, `${replica.replica}: `, el("b", {}, String(replica.nodes)), ` node${replica.nodes === 1 ? "" : "s"}, revision ${replica.revision ?? "–"}${replica.ready ? "" : ", NOT READY"}${replica.stale ? ", STALE" : ""}`));
  return [
    el("div", { class: "stacked", "aria-hidden": "true" }, bars),
    el("p", { class: "legend" }, order.map((state) => el("span", {}, el("i", { class: state.replace(" ", "_"), "aria-hidden": "true" }), `${state} `, el("b", {}, String(fleet.states[state]))))),
    el("p", { class: "legend" }, replicas),
  ];
}

export function nodeRow(node) {
  const off = Object.entries(node.types).filter(([, one]) => one.state !== "SYNCED").map(([name, one]) => `${name} ${one.state}`);
  return el("tr", {},
    el("td", {}, el("span", { class: "name mono" }, node.id), off.length ? el("span", { class: "sub" }, off.join(", ")) : "", node.problem ? el("span", { class: "problem" }, node.problem) : ""),
    el("td", {}, badge(node.state)),
    cell("Group", false, node.group), cell("Envoy", false, node.envoy || "–"),
    cell("Stream", false, el("span", { class: "number" }, ago(node.connected_at).textContent.replace(" ago", ""))),
    cell("Lag", false, el("span", { class: "number" }, String(node.lag))));
}

export function fate(outcome) {
  if (outcome.rejected) return "rejected";
  if (outcome.waiting) return "waiting";
  return outcome.nodes ? "reached" : "none";
}

export function headline(push) {
  const told = push.lines.filter((line) => !line.endsWith(": unchanged"));
  const records = told.filter((line) => line.startsWith("cell ") || line.startsWith("rules: ")).length;
  const more = records - 1 + push.more_records;
  return (told[0] ?? "nothing that is told") + (more > 0 ? ` (+${more})` : "");
}

export function pushItem(push, fresh, open) {
  const { outcome } = push;
  const rest = [outcome.waiting ? `${outcome.waiting} waiting` : "", outcome.left ? `${outcome.left} left` : ""].filter(Boolean).join(", ");
  return el("li", { class: `${fate(outcome)}${fresh ? " fresh" : ""}` },
    el("div", { class: "top" }, ago(push.at), push.causes.map((cause) => badge(cause, "")), el("span", { class: "mono" }, push.id)),
    el("button", { type: "button", class: "what", "data-key": `push-${push.id}`, onclick: () => open(push.id) }, headline(push)),
    push.authors.length ? el("p", { class: "by" }, `${push.authors.join(", ")}${push.reasons.length ? `: ${push.reasons.join("; ")}` : ""}`) : "",
    el("p", { class: "how" }, "reached ", el("b", {}, String(outcome.nodes)), rest ? ` (${rest})` : "", " · p50 ", el("b", {}, span(outcome.p50_ms)), " · p99 ", el("b", {}, span(outcome.p99_ms)),
      outcome.rejected ? el("span", { class: "problem" }, ` · rejected ${outcome.rejected}×`) : ""));
}

// A bar for each of the last pushes, oldest on the left: as high as its p99, on a scale of powers of ten.
export function strip(pushes, open) {
  const shown = pushes.slice(0, 40).reverse();
  if (!shown.length) return [];
  const NS = "http://www.w3.org/2000/svg";
  const svg = document.createElementNS(NS, "svg");
  svg.setAttribute("viewBox", "0 0 400 60");
  svg.setAttribute("preserveAspectRatio", "none");
  svg.setAttribute("role", "img");
  const worst = Math.max(...shown.map((push) => push.outcome.p99_ms ?? 0));
  svg.setAttribute("aria-label", `Time to converge of the last ${shown.length} pushes; the slowest took ${span(worst)}. The list below has them all.`);
  const top = Math.log10(Math.max(worst, 100) + 1);
  const width = 400 / Math.max(shown.length, 12);
  shown.forEach((push, at) => {
    const height = Math.max(4, (Math.log10((push.outcome.p99_ms ?? 0) + 1) / top) * 56);
    const rect = document.createElementNS(NS, "rect");
    const place = { x: at * width + 1, y: 58 - height, width: Math.max(1, width - 3), height, rx: 1 };
    for (const [name, value] of Object.entries(place)) rect.setAttribute(name, value);
    rect.setAttribute("class", fate(push.outcome));
    const title = document.createElementNS(NS, "title");
    title.textContent = `${push.id}: ${headline(push)}, p99 ${span(push.outcome.p99_ms)}`;
    rect.append(title);
    rect.addEventListener("click", () => open(push.id));
    svg.append(rect);
  });
  return [svg, el("figcaption", {}, el("span", {}, "p99 until acknowledged, log scale"), el("span", {}, `slowest ${span(worst)}`))];
}

function diffLine(line) {
  const found = /^(.*?)(\S+) → (.*)$/.exec(line);
  return found ? el("li", {}, found[1], el("del", {}, found[2]), " → ", el("ins", {}, found[3])) : el("li", {}, line);
}

export function pushDetails(push, rollback) {
  const { outcome } = push;
  const facts = [
    ["When", ago(push.at)], ["Revision", String(push.revision)], ["Group", push.group], ["Cause", push.causes.join(", ") || "–"],
    ["By", push.authors.join(", ") || "–"], ["Reason", push.reasons.join("; ") || "–"],
    ["Edges", `${outcome.nodes} acknowledged, ${outcome.waiting} waiting, ${outcome.left} left, ${outcome.rejected} rejected`],
  ];
  const times = [["First", outcome.first_ms], ["p50", outcome.p50_ms], ["p99", outcome.p99_ms], ["Last", outcome.last_ms]];
  const records = push.records.flatMap((record) => [el("li", { class: "head" }, `${record.record} · ${record.updated_by}`), ...record.lines.map(diffLine)]);
  const resources = Object.entries(push.resources).flatMap(([type, change]) => {
    const some = (sign, tag, names, count) => names.map((name) => el("li", {}, el(tag, {}, sign), ` ${type} ${name}`)).concat(count > names.length ? [el("li", {}, `and ${count - names.length} more`)] : []);
    return [...some("+ added", "ins", change.added, change.counts[0]), ...some("~ changed", "span", change.changed, change.counts[1]), ...some("− removed", "del", change.removed, change.counts[2])];
  });
  const same = push.unchanged.length ? [el("li", { class: "same" }, `unchanged: ${push.unchanged.join(", ")}`)] : [];
  const notes = records.length ? [] : push.lines.filter((line) => /^(start|drain|time|claims|departures)/.test(line)).map((line) => el("li", {}, line));
  const story = (push.wave?.events ?? []).map((event) => el("li", {}, ago(event.at), ` ${event.what}`));
  return [
    el("dl", { class: "facts" }, facts.flatMap(([name, value]) => [el("dt", {}, name), el("dd", {}, value)])),
    el("dl", { class: "times" }, times.map(([name, value]) => el("div", {}, el("dt", {}, name), el("dd", {}, span(value))))),
    outcome.rejections.length ? el("h3", {}, "Rejections") : "",
    outcome.rejections.length ? el("ul", { class: "diff" }, outcome.rejections.map((one) => el("li", {}, el("span", { class: "problem" }, `${one.node}: ${one.type} ${one.names.join(", ") || "(not named)"}: ${one.message}`)))) : "",
    story.length ? el("h3", {}, `Its wave: ${push.wave.state}`) : "", story.length ? el("ol", { class: "diff" }, story) : "",
    el("h3", {}, "What was written"), el("ul", { class: "diff" }, records, notes, push.more_records ? el("li", {}, `and ${push.more_records} more records`) : ""),
    el("h3", {}, "What Envoys were told"), el("ul", { class: "diff" }, resources, same),
    rollback ? el("p", {}, rollback) : "",
  ].filter((each) => each !== "");
}

export function explanation(found) {
  const where = found.cell !== null ? `Cell ${found.cell}`
    : Object.keys(found.candidates).length ? `Nobody's: divided among cells ${Object.entries(found.candidates).map(([id, weight]) => `${id} (weight ${weight})`).join(", ")}`
    : found.cluster ? `Cluster ${found.cluster}` : `No cell: ${found.outcome}`;
  const why = [found.rule ? `rule ${found.rule}` : "", found.key ? `key ${found.key}` : "", found.status ? `Envoy answers ${found.status}` : "", `at revision ${found.revision}`].filter(Boolean).join(" · ");
  const rows = found.steps.map((step) => el("tr", {},
    el("td", {}, el("span", { class: "name mono" }, step.rule)),
    el("td", {}, step.decides ? badge("decides", "good") : step.skip ? badge(`passed over: ${step.skip}`, "") : "–"),
    cell(null, true, step.why ?? "", step.keys.length ? el("span", { class: "sub mono" }, step.keys.map((key) => `${key.type}=${key.value}`).join(", ")) : "")));
  return el("div", { class: "answer" },
    el("p", { class: "verdict" }, where), el("p", { class: "hint" }, why),
    found.claims ? "" : el("p", { class: "note" }, "Claims are not known here: rules that look owners up are passed over. Ask cellplane explain."),
    el("table", { class: "stack" }, el("caption", { class: "unseen" }, "What each rule said"), el("thead", {}, el("tr", {}, ["Rule", "Said", "Why"].map((name) => el("th", { scope: "col" }, name)))), el("tbody", {}, rows)));
}
