// What the server tells every second, and whether it still does. Must not know how anything is shown.
import { batch, signal } from "@preact/signals";

export type Quantiles = { p50: number; p90: number; p99: number };
export type Settings = {
  min_containers: number | null;
  max_containers: number | null;
  buffer_containers: number | null;
  scaledown_window: number | null;
};
export type Node = {
  name: string;
  cores: number;
  busy_cores: number;
  cpu_used: number;
  memory_bytes: number;
  memory_used_bytes: number;
  gpus: number;
  gpus_used: number;
  containers: number;
  state: string;
  drain_until: number | null;
  started: number;
  lost: number;
  link: { heard_at: number; round_trip_s: number | null; received_bytes: number; sent_bytes: number } | null;
};
export type Refused = { name: string; reason: string };
export type App = { app_id: string; name: string; state: string; version: number; created_at: number };
export type Fn = {
  function_id: string;
  app_id: string;
  app_name: string;
  name: string;
  version: number;
  is_retired: boolean;
  plan: number;
  requested: number;
  observed: number;
  starting: number;
  busy: number;
  idle: number;
  pending: number;
  running: number;
  accepted: number;
  done: number;
  failed: number;
  reason: string;
  held_back: string;
  settings: Settings;
  autoscaler: { effective: Settings; static: Settings; override: Settings };
  web_urls: string[];
  schedule: string;
  next_run: number | null;
  wait: Quantiles | null;
  run: Quantiles | null;
  rate: number;
};
export type Container = {
  container_id: string;
  app_name: string;
  function_name: string;
  function_id: string;
  state: string;
  version: number;
  requested_at: number;
  ready_at: number | null;
  running: number;
  served: number;
  node: string;
};
export type Call = {
  call_id: string;
  app_name: string;
  function_name: string;
  kind: string;
  state: string;
  pending: number;
  running: number;
  done: number;
  num_inputs: number | null;
  opened_at: number;
  ended_at: number | null;
};
export type Live = {
  at: number;
  server: { version: string; started_at: number; address: string; pid: number };
  nodes: Node[];
  refused_nodes: Refused[];
  apps: App[];
  functions: Fn[];
  containers: { total: number; rows: Container[] };
  calls: Call[];
};

export type Connection = "connecting" | "live" | "lost" | "logged out";

const TRAIL = 90; // moments that a sparkline shows
const STALE_MS = 5_000; // without news for so long, what is shown is no longer what there is
const RETRY_MS = 1_500;

export const live = signal<Live | null>(null);
export const connection = signal<Connection>("connecting");

/** The latest moments of every function, for sparklines: waiting + running inputs, and containers. */
export const trails = new Map<string, { load: number[]; containers: number[] }>();
export const totals: { load: number[]; containers: number[]; rate: number[] } = { load: [], containers: [], rate: [] };

let source: EventSource | null = null;
let heardAt = 0;
let retry = 0;
let isFilled = false;

/** Listen for as long as the page is looked at. */
export function listen(): void {
  document.addEventListener("visibilitychange", () => (document.hidden ? hangUp() : dial()));
  setInterval(() => {
    if (source && connection.value === "live" && Date.now() - heardAt > STALE_MS) connection.value = "lost";
  }, 1_000);
  dial();
}

function hangUp(): void {
  clearTimeout(retry);
  source?.close();
  source = null;
}

function dial(): void {
  hangUp();
  heardAt = Date.now();
  source = new EventSource("/live");
  source.onmessage = (event) => {
    heardAt = Date.now();
    const told = JSON.parse(event.data) as Live;
    remember(told);
    batch(() => {
      connection.value = "live";
      live.value = told;
    });
  };
  source.onerror = () => {
    hangUp();
    if (connection.value !== "logged out") connection.value = live.value ? "lost" : "connecting";
    void lookWhy();
    if (!document.hidden) retry = window.setTimeout(dial, RETRY_MS);
  };
}

async function lookWhy(): Promise<void> {
  try {
    const answer = await fetch("/api/v1/status");
    if (answer.status === 401 || answer.status === 403) connection.value = "logged out";
  } catch {
    // Nobody listens at the moment: dialling goes on.
  }
}

const FILLED_MAX = 40; // functions whose trail is asked for; others begin theirs now

/** Begin the trails with what the server remembers of the time before this page was opened. */
async function fill(told: Live): Promise<void> {
  const pasts = await Promise.all(
    told.functions.slice(0, FILLED_MAX).map(async (fn) => {
      const answer = await fetch(`/live/history?function=${encodeURIComponent(fn.function_id)}`);
      return { id: fn.function_id, past: answer.ok ? ((await answer.json()) as Record<string, number[]>) : null };
    }),
  ).catch(() => []); // the connection is lost, and is dialled again
  const sums = { load: Array<number>(TRAIL).fill(0), containers: Array<number>(TRAIL).fill(0), rate: Array<number>(TRAIL).fill(0) };
  for (const { id, past } of pasts) {
    const trail = trails.get(id);
    if (!past || !trail) continue;
    const seconds = Array.from({ length: TRAIL }, (_, i) => told.at - TRAIL + i);
    const load = sampled(past.at!, past.pending!.map((n, i) => n + past.running![i]!), seconds);
    const containers = sampled(past.at!, past.observed!, seconds);
    trail.load = [...load, ...trail.load].slice(-TRAIL);
    trail.containers = [...containers, ...trail.containers].slice(-TRAIL);
    const rate = sampled(past.at!, past.rate!, seconds);
    seconds.forEach((_, i) => {
      sums.load[i]! += load[i]!;
      sums.containers[i]! += containers[i]!;
      sums.rate[i]! += rate[i]!;
    });
  }
  for (const name of ["load", "containers", "rate"] as const) totals[name] = [...sums[name], ...totals[name]].slice(-TRAIL);
}

/** The values at some seconds: each is the latest that was observed by then. While nobody looks, few are. */
function sampled(at: number[], values: number[], seconds: number[]): number[] {
  let i = -1;
  return seconds.map((second) => {
    while (i + 1 < at.length && at[i + 1]! <= second) i += 1;
    return i < 0 ? 0 : values[i]!;
  });
}

function remember(told: Live): void {
  if (!isFilled) {
    isFilled = true;
    void fill(told);
  }
  let load = 0;
  let containers = 0;
  let rate = 0;
  const known = new Set<string>();
  for (const fn of told.functions) {
    known.add(fn.function_id);
    const trail = trails.get(fn.function_id) ?? { load: [], containers: [] };
    push(trail.load, fn.pending + fn.running);
    push(trail.containers, fn.observed);
    trails.set(fn.function_id, trail);
    load += fn.pending + fn.running;
    containers += fn.observed;
    rate += fn.rate;
  }
  for (const id of trails.keys()) if (!known.has(id)) trails.delete(id);
  push(totals.load, load);
  push(totals.containers, containers);
  push(totals.rate, rate);
}

function push(trail: number[], value: number): void {
  trail.push(value);
  if (trail.length > TRAIL) trail.shift();
}
