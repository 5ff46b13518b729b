// What /status says in each state that the page has to show, and the past hour of it.
//
// Owns the made-up connectors. The shapes are those of crates/walferry-pipeline/src/status/report.rs.

const began = Date.now();
const GIB = 2 ** 30;

const table = (name, changed = {}) => ({
  name, topic: `shop.${name}`, key: ["id"], replica_identity: "default", changes: Math.floor((Date.now() - began) / 10),
  schema_ids: { key: 1, value: 7 }, state: "streaming", parked_since: null, reason: null, code: null, ...changed,
});

const lag = (changed = {}) => ({
  source_bytes: 1000, slot_retained_bytes: 56 * 2 ** 20, slot_retained_bytes_max: 50 * GIB, freshness_ms: 30, server_lsn: "16/B374D948", ...changed,
});

const STAGES = { source: 4, network: 0.3, queue: 0.2, catalog: 0, registry: 0, encode: 1.2, batch: 0, send: 9, commit: 14.3 };
const latency = {
  window_seconds: 60, transactions: 4711, end_to_end: { p50_ms: 29, p99_ms: 55.125, mean_ms: 29 },
  stages: Object.entries(STAGES).map(([stage, ms]) => ({ stage, p50_ms: ms, p99_ms: 2 * ms, mean_ms: ms, share: ms / 29 })), bottleneck: "broker",
  sentence: "The bottleneck is the broker: 23 ms of the 29 ms from commit to Kafka (80 %, on average over 4711 transactions of the last minute); Kafka acknowledges records and commits the transaction.",
  clock_skew_ms: -0.021, clock_skew_error_ms: 0.15,
};
const silence = {
  window_seconds: 60, transactions: 0, end_to_end: null, stages: [], bottleneck: null, sentence: "Nothing was published in the last minute.",
  clock_skew_ms: null, clock_skew_error_ms: null,
};

const connector = (name, changed = {}) => ({
  name, state: "streaming", reason: null, code: null,
  source: { system_id: "7412345678901234567", timeline: 1, server_version: "17.6", slot: `walferry_${name}`, publication: `walferry_${name}` },
  positions: { received: "16/B374D848", published: "16/B374D800", checkpointed: "16/B374D700", confirmed: "16/B374D700" },
  lag: lag(), latency, snapshot: [], tables: [table("public.orders"), table("public.customers")], errors: 0, dead_letters: 0, ...changed,
});

const snapshot = (name, changed) => ({
  name, id: "initial", rows: 0, rows_estimated: 8000, state: "waiting", rows_per_second: null, seconds_left: null, ...changed,
});

const LOST = { state: "halted", reason: 'slot "walferry_shop" is lost: the server removed WAL that it needed [WF0806]', code: "WF0806" };
const AWAY = { state: "retrying", reason: "kafka: no broker of k1:9092 answers: connection refused, since 14:02:11 (45 s) [WF0504]", code: "WF0504" };
const REFUSED = {
  state: "parked", parked_since: "2026-11-30T14:00:00Z", code: "WF0605",
  reason: "the registry refused the schema of subject shop.public.orders-value: a field without a default was added [WF0605]",
};
const MISSING = { state: "incomplete", reason: "it was replaced while nobody read; walferry resync -c FILE public.orders [WF0310]", code: "WF0310" };

/** Each state: what the connectors say, and the words that the page must have in its verdict. */
export const states = {
  healthy: { verdict: "All is well", connectors: () => [connector("shop")] },
  starting: { verdict: "starting", connectors: () => [connector("shop", { state: "starting", reason: "waits for transaction 812, open for 3 min", tables: [], latency: silence, lag: lag({ freshness_ms: null, source_bytes: null, slot_retained_bytes: null, server_lsn: null }) })] },
  snapshotting: { verdict: "snapshotting", connectors: () => [connector("shop", { state: "snapshotting", snapshot: [
    snapshot("public.orders", { state: "running", rows: 123456, rows_estimated: 400000, rows_per_second: 52000, seconds_left: 6 }), snapshot("public.customers")] })] },
  paused: { verdict: "paused", connectors: () => [connector("shop", { state: "paused" })] },
  retrying: { verdict: "waits", connectors: () => [connector("shop", { ...AWAY, lag: lag({ source_bytes: 123456789, server_lsn: "16/BFFFFFFF", freshness_ms: 45000 }) })] },
  halted: { verdict: "has ended", connectors: () => [connector("shop", LOST)] },
  parked: { verdict: "parked", connectors: () => [connector("shop", { tables: [table("public.orders", REFUSED), table("public.customers")] })] },
  incomplete: { verdict: "incomplete", connectors: () => [connector("shop", { tables: [table("public.orders", MISSING), table("public.customers")] })] },
  letters: { verdict: "dead letters", connectors: () => [connector("shop", { dead_letters: 12, errors: 12 })] },
  budget: { verdict: "over its budget", connectors: () => [connector("shop", { lag: lag({ source_bytes: 99e9, slot_retained_bytes: 60 * GIB, server_lsn: "2E/BFFFFFFF", freshness_ms: 7.5e6 }) })] },
  fifty: { verdict: "the other 49", connectors: () => Array.from({ length: 50 }, (_, at) => connector(`db${at}`, at === 7 ? LOST : at === 9 ? AWAY : {})) },
  tables: { verdict: "All is well", connectors: () => [connector("shop", { tables: Array.from({ length: 200 }, (_, at) => table(`public.table_${at}`)) })] },
};

/** The hour before now, with one outage in it. */
export const past = connectors => {
  const now = Math.floor(Date.now() / 1000);
  const sample = at => ({
    at: now - 3600 + at * 10, freshness_ms: 20 + (at * 7) % 30 + (at > 200 && at < 220 ? 5000 : 0), source_bytes: (at * 7919) % 1e6,
    slot_retained_bytes: 56 * 2 ** 20, changes: at * 1000,
  });
  return { every_seconds: 10, connectors: connectors.map(it => ({ name: it.name, samples: Array.from({ length: 360 }, (_, at) => sample(at)) })) };
};
