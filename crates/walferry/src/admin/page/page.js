// Draws /status as it is, once a second, and /status/history, once every ten.
//
// Owns what is on the page; elements stay and their texts change, so that focus, selection and a screen reader's place are kept.
// Never: asks anybody but the process that it came from.
"use strict";

const EVERY = 1000, HISTORY_EVERY = 10000, MIB = 1 << 20, BEHIND = 16 * MIB;
const cards = new Map();
let last = null, history = new Map(), historyAt = 0, silentSince = null;

// ---- elements

const node = (tag, attributes = {}, ...inside) => {
  const svg = ["svg", "path", "circle", "text", "polyline", "title"].includes(tag);
  const made = svg ? document.createElementNS("http://www.w3.org/2000/svg", tag) : document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  made.append(...inside);
  return made;
};
const say = (element, text) => { if (element.textContent !== text) element.textContent = text; };
const set = (element, name, value) => { if (element.getAttribute(name) !== String(value)) element.setAttribute(name, value); };
const show = (element, shown) => element.classList.toggle("hidden", !shown);

// ---- words

const count = number => number.toLocaleString("en");
const plural = (number, word) => `${count(number)} ${word}${number === 1 ? "" : "s"}`;
const bytes = number => {
  if (number === null || number === undefined) return "–";
  let value = Number(number), unit = 0;
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  while (Math.abs(value) >= 1024 && unit < 4) { value /= 1024; unit += 1; }
  return `${unit && value < 10 ? value.toFixed(1) : Math.round(value)} ${units[unit]}`;
};
const duration = ms => {
  if (ms === null || ms === undefined) return "–";
  if (ms < 1000) return `${Math.round(ms)} ms`;
  const seconds = ms / 1000;
  if (seconds < 60) return `${seconds.toFixed(seconds < 10 ? 1 : 0)} s`;
  const minutes = Math.floor(seconds / 60);
  if (minutes < 60) return `${minutes} min ${Math.round(seconds % 60)} s`;
  const hours = Math.floor(minutes / 60);
  return hours < 48 ? `${hours} h ${minutes % 60} min` : `${Math.floor(hours / 24)} d ${hours % 24} h`;
};
const lsn = text => {
  const [high, low] = (text ?? "").split("/");
  return low === undefined ? null : (BigInt("0x" + high) << 32n) + BigInt("0x" + low);
};
const between = (from, to) => {
  const [a, b] = [lsn(from), lsn(to)];
  return a === null || b === null ? null : Number(b > a ? b - a : 0n);
};

// ---- what is wrong

const budget = it => {
  const { slot_retained_bytes: kept, slot_retained_bytes_max: most } = it.lag;
  return kept === null || !most ? null : kept / most;
};
const problems = it => {
  const found = [];
  const add = (level, short, text, code, runbook) => found.push({ level, short, text, code, runbook });
  const why = it.reason ?? "";
  if (it.state === "halted") add("bad", "has ended", `It has ended: ${why || "no reason is known"}`, it.code);
  else if (it.state === "retrying") add("warn", "waits and tries again", `It waits and tries again: ${why}`, it.code);
  else if (it.state === "paused") add("warn", "is paused", "Publishing is held by an operator; `walferry resume -c FILE` lets it go on.");
  else if (why) add("busy", it.state, why, it.code);
  const used = budget(it);
  if (used > 1) add("bad", "has a slot over its budget", `The slot keeps ${bytes(it.lag.slot_retained_bytes)} of WAL, more than its budget of ${bytes(it.lag.slot_retained_bytes_max)}.`, "WF0207");
  else if (used > 0.8) add("warn", "has a slot near its budget", `The slot keeps ${Math.round(used * 100)} % of its budget of WAL.`, "WF0207");
  for (const table of it.tables) {
    if (!table.reason) continue;
    const since = table.parked_since ? ` since ${table.parked_since}` : "";
    add(table.state === "incomplete" ? "bad" : "warn", `has table ${table.name} ${table.state}`, `Table ${table.name} is ${table.state}${since}: ${table.reason}`, table.code);
  }
  if (it.dead_letters) add("warn", "has dead letters", `${plural(it.dead_letters, "change")} went to the dead-letter topic since the start; mend the cause, then \`walferry replay -c FILE\`.`, null, "/runbooks/dead-letters");
  return found;
};
const worst = found => ["bad", "warn", "busy"].find(level => found.some(it => it.level === level)) ?? "good";
const looks = { streaming: "good", snapshotting: "busy", starting: "busy", paused: "warn", retrying: "warn", halted: "bad" };

// ---- cause and remedy of a code, asked for when somebody wants them

const explained = code => {
  const cause = node("p", {}, "…"), remedy = node("p"), more = node("p");
  const details = node("details", {}, node("summary", {}, `${code}: cause and remedy`), cause, remedy, more);
  details.addEventListener("toggle", async () => {
    if (!details.open || remedy.textContent) return;
    try {
      const it = await (await fetch(`/explain/${code}`)).json();
      say(cause, `${it.title}. ${it.cause}`);
      say(remedy, `Remedy: ${it.remedy}`);
      if (it.runbook) more.append(node("a", { href: it.runbook }, "Runbook"));
    } catch { say(cause, `The process does not answer; \`walferry explain ${code}\` tells the same.`); }
  });
  return details;
};
const listProblems = (list, found) => {
  const key = JSON.stringify(found);
  if (list.dataset.key === key) return;
  list.dataset.key = key;
  list.replaceChildren(...found.map(it => {
    const line = node("li", { class: it.level }, it.text.replace(/ \[WF\d{4}\]/g, ""));
    if (it.code) line.append(explained(it.code));
    if (it.runbook) line.append(" ", node("a", { href: it.runbook }, "Runbook"));
    return line;
  }));
  show(list, found.length > 0);
};

// ---- the ring

const STOPS = ["PostgreSQL", "received", "published", "checkpointed", "confirmed"];
// Where a stop's label stands beside it.
const LABELS = [[0, -28, "middle"], [13, 0, "start"], [10, 20, "start"], [-10, 20, "end"], [-13, 0, "end"]];
const place = (at, radius) => {
  const angle = (-90 + 72 * at) * Math.PI / 180;
  return [215 + radius * Math.cos(angle), 165 + radius * Math.sin(angle)];
};
const ring = () => {
  const svg = node("svg", { class: "ring", viewBox: "0 0 430 330", role: "img" });
  const parts = { svg, arcs: [], gaps: [], lsns: [], title: node("title"), fresh: null };
  svg.append(parts.title);
  STOPS.forEach((_, at) => {
    const [from, to] = [place(at + 0.12, 105), place(at + 0.88, 105)];
    parts.arcs.push(node("path", { d: `M ${from} A 105 105 0 0 1 ${to}` }));
    const [x, y] = place(at + 0.5, 66);
    parts.gaps.push(node("text", { class: "gap", x, y }));
  });
  svg.append(...parts.arcs, ...parts.gaps);
  STOPS.forEach((name, at) => {
    const [x, y] = place(at, 105), [aside, down, anchor] = LABELS[at];
    const label = { x: x + aside, y: y + down, "text-anchor": anchor };
    parts.lsns.push(node("text", { ...label, class: "lsn", y: y + down + 13 }));
    svg.append(node("circle", { cx: x, cy: y, r: 7 }), node("text", label, name), parts.lsns[at]);
  });
  parts.fresh = node("text", { class: "fresh", x: 215, y: 168 });
  svg.append(parts.fresh, node("text", { class: "gap", x: 215, y: 184 }, "fresh"));
  return parts;
};
const drawRing = (parts, it, still) => {
  const { received, published, checkpointed, confirmed } = it.positions;
  const stops = [it.lag.server_lsn, received, published, checkpointed, confirmed];
  const gaps = stops.map((from, at) => at === 4 ? it.lag.slot_retained_bytes : between(stops[at + 1], from));
  stops.forEach((stop, at) => say(parts.lsns[at], stop ?? "–"));
  gaps.forEach((gap, at) => {
    const over = at === 4 ? budget(it) > 1 : false;
    set(parts.arcs[at], "class", over ? "over" : gap > BEHIND && at !== 4 ? "behind" : "");
    say(parts.gaps[at], gap ? (at === 4 ? `slot keeps ${bytes(gap)}` : bytes(gap)) : "");
  });
  say(parts.fresh, duration(it.lag.freshness_ms));
  set(parts.svg, "class", still ? "ring still" : "ring");
  say(parts.title, "The ring of positions: " + STOPS.map((name, at) =>
    `${name} ${stops[at] ?? "unknown"}${at < 4 && gaps[at] ? `, ${bytes(gaps[at])} before the next` : ""}`).join("; ")
    + `. The newest published change was ${duration(it.lag.freshness_ms)} old.`);
};

// ---- the last hour

const chart = (name, words, scale) => {
  const line = node("polyline"), title = node("title");
  const most = node("span"), svg = node("svg", { class: "chart", viewBox: "0 0 360 72", preserveAspectRatio: "none", role: "img" }, title, line);
  const figure = node("figure", {}, svg, node("figcaption", {}, node("span", {}, name), most));
  return { figure, draw: samples => {
    const known = samples.filter(it => it.value !== null);
    if (!known.length) { say(most, "nothing yet"); say(title, `${name}: nothing yet`); return set(line, "points", ""); }
    const values = known.map(it => it.value), top = Math.max(...values, scale), now = samples.at(-1).at;
    set(line, "points", known.map(it => `${(360 * (1 - (now - it.at) / 3600)).toFixed(1)},${(70 - 66 * it.value / top).toFixed(1)}`).join(" "));
    const told = `most ${words(Math.max(...values))}, now ${words(values.at(-1))}`;
    say(most, told);
    say(title, `${name} over the last hour: ${told}`);
  } };
};

// ---- where the time goes

const WAYS = { source: "PostgreSQL decodes", network: "on the network", queue: "waits for the encoder", catalog: "asks the catalog", registry: "asks the registry",
  encode: "decodes and encodes", batch: "waits for its batch", send: "is sent to Kafka", commit: "is committed in Kafka" };
const fine = ms => ms < 10 ? `${ms.toFixed(1)} ms` : duration(ms);
const latency = name => {
  const words = node("p"), skew = node("p", { class: "faint" }), body = node("tbody");
  const row = (tag, cells) => node("tr", {}, ...cells.map((text, at) =>
    node(at ? tag : "th", { class: at ? "number" : "", ...(at && tag === "td" ? {} : { scope: tag === "th" ? "col" : "row" }) }, text)));
  const scroll = node("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": `Stages of ${name}` },
    node("table", {}, node("thead", {}, row("th", ["stage", "half within", "99 % within", "share"])), body));
  return { parts: [node("h3", {}, "Latency"), words, scroll, skew], draw: it => {
    say(words, it?.sentence ?? "");
    const stages = it?.stages ?? [];
    if (body.children.length !== stages.length) body.replaceChildren(...stages.map(() => row("td", ["", "", "", ""])));
    stages.forEach((stage, at) => {
      const cells = [WAYS[stage.stage] ?? stage.stage, fine(stage.p50_ms), fine(stage.p99_ms), `${Math.round(stage.share * 100)} %`];
      cells.forEach((text, place) => say(body.children[at].children[place], text));
    });
    show(scroll, stages.length > 0);
    const known = it?.clock_skew_ms ?? null;
    say(skew, known === null ? "" : `PostgreSQL’s clock is ${Math.abs(known).toFixed(1)} ms ${known < 0 ? "behind" : "ahead of"} this one, give or take ${it.clock_skew_error_ms.toFixed(1)} ms; it is taken out.`);
  } };
};

// ---- tables

const HEADS = [["table"], ["topic"], ["key"], ["identity"], ["changes", "number"], ["per second", "number"], ["rows by snapshot", "number"], ["schema", "number"], ["state"]];
const table = label => {
  const body = node("tbody"), rows = new Map();
  const heads = HEADS.map(([text, style]) => node("th", { scope: "col", class: style ?? "" }, text));
  const scroll = node("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": label },
    node("table", {}, node("thead", {}, node("tr", {}, ...heads)), body));
  return { scroll, draw: (it, before, wanted) => {
    const read = new Map(it.snapshot.map(table => [table.name, table]));
    const old = new Map((before?.it.tables ?? []).map(table => [table.name, table.changes]));
    const seconds = before ? (it.at - before.at) / 1000 : 0;
    const seen = new Set();
    const sorted = [...it.tables].sort((a, b) => (b.reason ? 1 : 0) - (a.reason ? 1 : 0) || a.name.localeCompare(b.name));
    sorted.forEach((table, at) => {
      seen.add(table.name);
      let row = rows.get(table.name);
      if (!row) {
        row = node("tr", {}, node("th", { scope: "row" }), ...HEADS.slice(1).map(([, style]) => node("td", { class: style ?? "" })));
        rows.set(table.name, row);
      }
      const rate = seconds > 0 && old.has(table.name) ? Math.max(0, (table.changes - old.get(table.name)) / seconds) : 0;
      const snapshot = read.get(table.name)?.rows;
      const cells = [table.name, table.topic, table.key.join(", ") || "none", table.replica_identity, count(table.changes),
        rate >= 10 ? count(Math.round(rate)) : rate.toFixed(rate ? 1 : 0), snapshot ? count(snapshot) : "–", table.schema_ids?.value ?? "–", table.state];
      cells.forEach((text, place) => say(row.children[place], String(text)));
      show(row, !wanted || table.name.toLowerCase().includes(wanted) || table.topic.toLowerCase().includes(wanted));
      if (body.children[at] !== row) body.insertBefore(row, body.children[at] ?? null);
    });
    for (const [name, row] of rows) if (!seen.has(name)) { row.remove(); rows.delete(name); }
  } };
};

// ---- one connector

const card = (name, alone) => {
  const pill = node("span", { class: "pill" }), short = node("span", { class: "faint" });
  const list = node("ul", { class: "problems" }), circle = ring();
  const figures = {}, terms = node("dl", { class: "figures" });
  for (const [key, label] of [["freshness", "Freshness of the newest change"], ["lag", "Not yet in the topics"], ["rate", "Changes per second"],
    ["slot", "WAL that the slot keeps"], ["errors", "Errors since the start"], ["letters", "Dead letters since the start"], ["source", "Source"], ["names", "Slot, publication"]]) {
    figures[key] = node("span");
    terms.append(node("div", {}, node("dt", {}, label), node("dd", {}, figures[key])));
  }
  const meter = node("meter", { min: 0, max: 1, high: 0.8, low: 0.8, optimum: 0, "aria-label": "part of the slot's budget that is used" });
  figures.slot.after(meter);
  const charts = [chart("Freshness", duration, 100), chart("Not yet in the topics", bytes, MIB), chart("Changes per second", it => count(Math.round(it)), 1)];
  const stages = latency(name), snapshots = node("div"), tables = table(`Tables of ${name}`), heading = node("h3", {}, "Tables");
  const search = node("input", { type: "search", placeholder: "name or topic", "aria-label": `Filter the tables of ${name}` });
  search.addEventListener("input", () => last && update(last));
  const inside = node("div", { class: "inside" }, list,
    node("div", { class: "overview" }, circle.svg, node("div", {}, terms, node("div", { class: "charts" }, ...charts.map(it => it.figure)))),
    ...stages.parts, snapshots, node("div", { class: "tools" }, heading, search), tables.scroll);
  const details = node("details", { class: "connector" }, node("summary", {}, node("h2", {}, name), pill, short), inside);
  details.open = alone;
  details.addEventListener("toggle", () => last && update(last));
  return { name, details, pill, short, list, circle, figures, meter, charts, stages, snapshots, tables, heading, search, before: null, touched: false };
};
const samples = (name, pick) => (history.get(name) ?? []).map((it, at, all) => ({ at: it.at, value: pick(it, all[at - 1]) }));
const drawSnapshots = (place, it) => {
  const running = it.snapshot.filter(table => !["done", "cancelled"].includes(table.state));
  const key = running.map(table => table.name).join("\n");
  if (place.dataset.key !== key) {
    place.dataset.key = key;
    place.replaceChildren(...(running.length ? [node("h3", {}, "Snapshots")] : []), ...running.map(table =>
      node("div", {}, node("span"), node("progress", { max: 1, "aria-label": `snapshot of ${table.name}` }))));
  }
  running.forEach((table, at) => {
    const [text, bar] = place.children[at + 1].children;
    const { rows, rows_estimated: all, rows_per_second: rate, seconds_left: left } = table;
    say(text, `${table.name}: ${table.state}, ${count(rows)} of about ${count(Math.max(all ?? 0, rows))} rows`
      + (rate ? `, ${count(rate)} rows/s` : "") + (left !== null && left !== undefined ? `, ${duration(left * 1000)} left` : ""));
    set(bar, "value", all > 0 ? Math.min(1, rows / all).toFixed(3) : 0);
  });
};
const drawCard = (it, card, found, still) => {
  const total = it.tables.reduce((sum, table) => sum + table.changes, 0);
  const { before } = card, passed = before ? (it.at - before.at) / 1000 : 0;
  const rate = passed > 0 ? Math.max(0, (total - before.total) / passed) : null;
  say(card.pill, it.state);
  set(card.pill, "class", `pill ${looks[it.state] ?? "busy"}`);
  const wrong = found.filter(one => one.level !== "busy").length;
  say(card.short, [`freshness ${duration(it.lag.freshness_ms)}`, `${bytes(it.lag.source_bytes)} behind`, plural(it.tables.length, "table"),
    wrong ? plural(wrong, "problem") : ""].filter(text => text).join(" · "));
  if (card.details.open) {
    listProblems(card.list, found);
    drawRing(card.circle, it, still);
    const { figures } = card;
    say(figures.freshness, duration(it.lag.freshness_ms));
    say(figures.lag, bytes(it.lag.source_bytes));
    if (rate !== null) say(figures.rate, `${count(Math.round(rate))}/s`);
    const most = it.lag.slot_retained_bytes_max;
    say(figures.slot, bytes(it.lag.slot_retained_bytes) + (most ? ` of ${bytes(most)}` : ""));
    set(card.meter, "value", Math.min(1, budget(it) ?? 0).toFixed(3));
    show(card.meter, budget(it) !== null);
    say(figures.errors, count(it.errors));
    say(figures.letters, count(it.dead_letters));
    say(figures.source, `PostgreSQL ${it.source.server_version ?? "–"}, timeline ${it.source.timeline ?? "–"}`);
    say(figures.names, `${it.source.slot}, ${it.source.publication}`);
    card.charts[0].draw(samples(it.name, one => one.freshness_ms));
    card.charts[1].draw(samples(it.name, one => one.source_bytes));
    card.charts[2].draw(samples(it.name, (one, old) => old && one.changes >= old.changes ? (one.changes - old.changes) / Math.max(1, one.at - old.at) : null));
    card.stages.draw(it.latency);
    drawSnapshots(card.snapshots, it);
    say(card.heading, `Tables (${it.tables.length})`);
    show(card.search, it.tables.length > 8);
    card.tables.draw(it, before, card.search.value.trim().toLowerCase());
  }
  if (!still && (!before || passed >= 0.5)) card.before = { at: it.at, total, it };
};

// ---- all of it

const update = status => {
  const alone = status.connectors.length === 1, main = document.getElementById("connectors");
  const all = status.connectors.map(it => ({ it: { ...it, at: status.at }, found: problems(it) }));
  const rank = ({ found }) => ["bad", "warn", "busy", "good"].indexOf(worst(found));
  all.sort((a, b) => rank(a) - rank(b));
  all.forEach(({ it, found }, at) => {
    if (!cards.has(it.name)) cards.set(it.name, card(it.name, alone || (worst(found) !== "good" && status.connectors.length < 8)));
    const one = cards.get(it.name);
    if (main.children[at] !== one.details) main.insertBefore(one.details, main.children[at] ?? null);
    drawCard(it, one, found, silentSince !== null);
  });
  if (silentSince === null) verdict(all);
  say(document.getElementById("process"), `Walferry ${status.process.version}, up ${duration(status.process.uptime_seconds * 1000)}`);
};
const verdict = all => {
  const level = worst(all.flatMap(({ found }) => found));
  const ill = all.filter(({ found }) => ["bad", "warn"].includes(worst(found)));
  const busy = all.filter(({ it }) => looks[it.state] === "busy");
  if (ill.length) {
    const gravest = ill.find(({ found }) => worst(found) === level), others = ill.length - 1;
    const rest = others ? `, and ${count(others)} of the other ${all.length - 1} ${others === 1 ? "needs" : "need"} a look` : "";
    announce(level, `${gravest.it.name} ${gravest.found.find(it => it.level === level).short}${rest}.`);
  } else if (busy.length) {
    announce("busy", `${busy.map(({ it }) => `${it.name} is ${it.state}`).slice(0, 5).join(", ")}.`);
  } else {
    announce("good", `All is well: ${plural(all.length, "connector")} ${all.length === 1 ? "streams" : "stream"}.`);
  }
  document.title = `${ill.length ? "⚠ " : ""}Walferry${all.length === 1 ? `: ${all[0].it.name}` : ""}`;
};
const announce = (level, text) => {
  const place = document.getElementById("verdict");
  set(place, "class", `verdict ${level}`);
  say(place, text);
};
const ask = async path => {
  const answer = await fetch(path, { signal: AbortSignal.timeout(5000), cache: "no-store" });
  if (!answer.ok) throw new Error(String(answer.status));
  return answer.json();
};
const refresh = async () => {
  try {
    if (Date.now() - historyAt >= HISTORY_EVERY) {
      const told = await ask("/status/history");
      history = new Map(told.connectors.map(it => [it.name, it.samples]));
      historyAt = Date.now();
    }
    const status = await ask("/status");
    silentSince = null;
    last = { ...status, at: performance.now() };
    update(last);
  } catch {
    silentSince ??= new Date();
    announce("bad", `The process does not answer since ${silentSince.toLocaleTimeString()}; what is shown is from before that.`);
    if (last) update(last);
  }
};
const turn = async () => {
  if (!document.hidden) await refresh();
  setTimeout(turn, EVERY);
};
turn();
