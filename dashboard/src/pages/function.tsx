// One function: its numbers over time, why it has so many containers, and the settings that decide it.
import { useEffect, useMemo } from "preact/hooks";
import { signal } from "@preact/signals";
import { live, type Fn } from "../live";
import { count, exact, rate, span } from "../format";
import { Past, type Decision } from "../past";
import { to } from "../route";
import { Chart } from "../parts/chart";
import { FunctionState, Pill } from "../parts/state";
import { Ago } from "../parts/when";
import { Missing } from "../parts/missing";
import { ContainerRows } from "./containers";
import { CallRows } from "./calls";
import { Autoscaler } from "./autoscaler";

const WINDOWS = [
  { name: "1 min", seconds: 60 },
  { name: "5 min", seconds: 300 },
  { name: "15 min", seconds: 900 },
];
const shownFor = signal(300);
const DECISIONS_SHOWN = 50;

export function FunctionPage({ id }: { id: string }) {
  const told = live.value!;
  const fn = told.functions.find((each) => each.function_id === id);
  const past = useMemo(() => new Past(id), [id]);
  useEffect(() => {
    if (fn) past.learn(told.at, fn);
  }, [told.at, past]);
  if (!fn) return <Missing what="This function" why="Its app was stopped, or a later version has it no more." />;
  return (
    <>
      <Head fn={fn} />
      <Charts past={past} />
      <div class="columns">
        <Decisions decisions={past.decisions.value} fn={fn} />
        <Autoscaler key={fn.function_id} fn={fn} />
      </div>
      <section>
        <h2>Containers</h2>
        <ContainerRows rows={told.containers.rows.filter((row) => row.function_id === id)} limit={10} bare />
      </section>
      <section>
        <h2>Latest calls</h2>
        <CallRows rows={told.calls.filter((call) => call.app_name === fn.app_name && call.function_name === fn.name)} limit={10} bare />
      </section>
    </>
  );
}

function Head({ fn }: { fn: Fn }) {
  return (
    <header class="title">
      <nav class="crumbs" aria-label="You are here">
        <a href={to([])}>Overview</a> / <span>{fn.app_name}</span>
      </nav>
      <h1>{fn.name}</h1>
      <FunctionState fn={fn} />
      {fn.version > 0 && <span class="muted num">v{fn.version}</span>}
      <a class="end" href={to(["logs"], { app: fn.app_id, function: fn.name })}>
        Logs
      </a>
      <p class="why">
        <b class="num">{exact(fn.plan)}</b> {fn.plan === 1 ? "container" : "containers"} planned: {fn.reason || "nothing to do yet"}
        {fn.held_back && <span class="held"> Held back: {fn.held_back}</span>}
      </p>
      <dl class="facts">
        <Fact name="Waiting" value={count(fn.pending)} />
        <Fact name="Running" value={count(fn.running)} />
        <Fact name="Finished" value={rate(fn.rate)} />
        <Fact name="In all" value={count(fn.done)} />
        {fn.failed > 0 && <Fact name="Failed" value={count(fn.failed)} />}
        <Fact name="Takes (p50)" value={span(fn.run?.p50)} />
        {fn.schedule && <Fact name="Schedule" value={fn.schedule} />}
      </dl>
      {fn.web_urls[0] && (
        <a class="url" href={fn.web_urls[0]} rel="noreferrer" target="_blank">
          {fn.web_urls[0]}
        </a>
      )}
    </header>
  );
}

function Fact({ name, value }: { name: string; value: string }) {
  return (
    <div>
      <dt>{name}</dt>
      <dd class="num">{value}</dd>
    </div>
  );
}

function Charts({ past }: { past: Past }) {
  const it = past.columns.value;
  const common = { window: shownFor.value };
  return (
    <section aria-label="Charts">
      <h2 class="sr">Charts</h2>
      <div class="choice" role="group" aria-label="Time shown">
        {WINDOWS.map(({ name, seconds }) => (
          <button
            key={name}
            type="button"
            aria-pressed={shownFor.value === seconds}
            onClick={() => (shownFor.value = seconds)}
          >
            {name}
          </button>
        ))}
      </div>
      <div class="charts">
        <Chart
          {...common}
          title="Inputs"
          columns={[it.at, it.pending, it.running]}
          series={[
            { name: "waiting", tone: 2, filled: true },
            { name: "running", tone: 1 },
          ]}
          format={count}
          whole
        />
        <Chart
          {...common}
          title="Containers"
          columns={[it.at, it.plan, it.requested, it.observed]}
          series={[
            { name: "plan", tone: 4, dashed: true, stepped: true },
            { name: "requested", tone: 2, stepped: true },
            { name: "observed", tone: 1, stepped: true, filled: true },
          ]}
          format={count}
          whole
        />
        <Chart
          {...common}
          title="Time in the queue"
          columns={[it.at, it.wait_p50, it.wait_p90, it.wait_p99]}
          series={QUANTILES}
          format={span}
        />
        <Chart
          {...common}
          title="Time in a container"
          columns={[it.at, it.run_p50, it.run_p90, it.run_p99]}
          series={QUANTILES}
          format={span}
        />
      </div>
    </section>
  );
}

const QUANTILES = [
  { name: "p50", tone: 1 },
  { name: "p90", tone: 2 },
  { name: "p99", tone: 3 },
];

function Decisions({ decisions, fn }: { decisions: Decision[]; fn: Fn }) {
  return (
    <section class="card decisions" aria-label="Decisions">
      <h3>Decisions of the autoscaler</h3>
      {decisions.length === 0 && <p class="muted">None lately. {fn.reason}</p>}
      <ol class="plain" tabIndex={0}>
        {decisions.slice(0, DECISIONS_SHOWN).map((each) => (
          <li key={`${each.at} ${each.plan} ${each.reason}`}>
            <span class="muted">
              <Ago at={each.at} />
            </span>
            <b class="num" title={`${each.live} containers were there`}>
              {exact(each.live)} → {exact(each.plan)}
            </b>
            <span>
              {each.reason}
              {each.held_back && (
                <>
                  {" "}
                  <Pill mood="bad">held back</Pill> {each.held_back}
                </>
              )}
            </span>
          </li>
        ))}
      </ol>
    </section>
  );
}
