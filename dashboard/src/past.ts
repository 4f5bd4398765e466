// The short past of one function: what the server remembers, and then what it tells every second.
import { signal, type Signal } from "@preact/signals";
import { ask } from "./api";
import { live, type Fn } from "./live";

const NAMES = ["at", "pending", "running", "plan", "requested", "observed", "wait_p50", "wait_p90", "wait_p99", "run_p50", "run_p90", "run_p99"] as const;
const MOMENTS_MAX = 900;
const DECISIONS_S = 2; // between questions for decisions, which may come many times a second

type Name = (typeof NAMES)[number];
export type Decision = { at: number; plan: number; live: number; reason: string; held_back: string };
export type Columns = Record<Name, (number | null)[]>;
type Told = Columns & { decisions: Decision[] };

export class Past {
  columns: Signal<Columns> = signal(Object.fromEntries(NAMES.map((name) => [name, []])) as unknown as Columns);
  decisions: Signal<Decision[]> = signal([]);
  private reason = "";
  private askedAt = 0;
  private asking = false;

  constructor(private id: string) {
    void this.load(true);
  }

  /** Take in what was told just now. */
  learn(at: number, fn: Fn): void {
    const columns = this.columns.peek();
    const last = columns.at.at(-1) ?? 0;
    if (!last || at <= last || this.asking) return;
    if (at - last > 10) return void this.load(true); // nobody looked for a while: the server knows what is missing
    const now: Record<Name, number | null> = {
      at,
      pending: fn.pending,
      running: fn.running,
      plan: fn.plan,
      requested: fn.requested,
      observed: fn.observed,
      wait_p50: fn.wait?.p50 ?? null,
      wait_p90: fn.wait?.p90 ?? null,
      wait_p99: fn.wait?.p99 ?? null,
      run_p50: fn.run?.p50 ?? null,
      run_p90: fn.run?.p90 ?? null,
      run_p99: fn.run?.p99 ?? null,
    };
    const drop = columns.at.length >= MOMENTS_MAX ? 1 : 0;
    this.columns.value = Object.fromEntries(
      NAMES.map((name) => [name, [...columns[name].slice(drop), now[name]]]),
    ) as Columns;
    const reason = `${fn.plan} ${fn.reason} ${fn.held_back}`;
    if (reason !== this.reason && at - this.askedAt >= DECISIONS_S) {
      this.reason = reason;
      this.askedAt = at;
      void this.load(false);
    }
  }

  private async load(all: boolean): Promise<void> {
    this.asking = all;
    try {
      const told = await ask<Told>(`/live/history?function=${encodeURIComponent(this.id)}`);
      if (all) this.columns.value = told;
      this.decisions.value = [...told.decisions].reverse();
    } catch {
      // Gone, or the connection is lost: the page says so by itself, and asks again with the next news.
      if (all && live.peek()) setTimeout(() => void this.load(true), 2_000);
    } finally {
      this.asking = false;
    }
  }
}
