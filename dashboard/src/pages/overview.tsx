// Everything at a glance: totals, machines, and the functions of every app.
import { live, totals, trails, type App, type Fn, type Live, type Node } from "../live";
import { count, exact, rate, span } from "../format";
import { to } from "../route";
import { NodeCard, NodeRows, RefusedNodes } from "../parts/node";
import { Sparkline } from "../parts/sparkline";
import { FunctionState, Pill } from "../parts/state";
import { Ago } from "../parts/when";

const NODES_SHOWN = 12;

export function Overview() {
  const told = live.value!;
  const going = told.apps.filter((app) => app.state !== "stopped");
  const gone = told.apps.filter((app) => app.state === "stopped");
  return (
    <>
      <h1 class="sr">Overview</h1>
      <Totals told={told} />
      {going.length === 0 ? <Newcomer /> : going.map((app) => <AppCard key={app.app_id} app={app} />)}
      <Nodes nodes={told.nodes} />
      {gone.length > 0 && (
        <section>
          <h2>Stopped</h2>
          <ul class="plain muted">
            {gone.slice(0, 20).map((app) => (
              <li key={app.app_id}>
                <a href={to(["logs"], { app: app.app_id })}>{app.name || app.app_id}</a>
                {app.version > 0 && ` v${app.version}`}, from <Ago at={app.created_at} />
              </li>
            ))}
          </ul>
        </section>
      )}
    </>
  );
}

function Totals({ told }: { told: Live }) {
  const sum = (pick: (fn: Fn) => number) => told.functions.reduce((all, fn) => all + pick(fn), 0);
  const [waiting, running, ended] = [sum((fn) => fn.pending), sum((fn) => fn.running), sum((fn) => fn.rate)];
  return (
    <dl class="totals">
      <Total name="Containers" value={exact(told.containers.total)} trail={totals.containers}>
        {count(sum((fn) => fn.busy))} busy, {count(sum((fn) => fn.starting))} starting
      </Total>
      <Total name="Inputs" value={count(running + waiting)} trail={totals.load}>
        {count(running)} running, {count(waiting)} waiting
      </Total>
      <Total name="Finished" value={rate(ended)} trail={totals.rate}>
        {count(sum((fn) => fn.done))} in all{sum((fn) => fn.failed) > 0 && `, ${count(sum((fn) => fn.failed))} failed`}
      </Total>
    </dl>
  );
}

function Total(props: { name: string; value: string; trail: number[]; children: preact.ComponentChildren }) {
  return (
    <div class="card total">
      <dt>{props.name}</dt>
      <dd class="big num">{props.value}</dd>
      <dd class="muted num">{props.children}</dd>
      <dd class="trail">
        <Sparkline values={props.trail} label={`${props.name} over the last minutes`} />
      </dd>
    </div>
  );
}

function AppCard({ app }: { app: App }) {
  const functions = live.value!.functions.filter((fn) => fn.app_id === app.app_id);
  return (
    <section class="card app" aria-label={`App ${app.name}`}>
      <header>
        <h2>{app.name || app.app_id}</h2>
        {app.version > 0 && <span class="muted num">v{app.version}</span>}
        <Pill mood={app.state === "deployed" ? "good" : "calm"}>{app.state}</Pill>
        <span class="muted">
          <Ago at={app.created_at} />
        </span>
        <a class="end" href={to(["logs"], { app: app.app_id })}>
          Logs
        </a>
      </header>
      {functions.length === 0 ? (
        <p class="muted">It has no functions yet.</p>
      ) : (
        <div class="functions" role="table" aria-label={`Functions of ${app.name}`}>
          <div class="row head" role="row">
            {["Function", "State", "Containers", "Running", "Waiting", "Finished", "Takes", "Load"].map((name) => (
              <span key={name} role="columnheader">
                {name}
              </span>
            ))}
          </div>
          {functions.map((fn) => (
            <FunctionLine key={fn.function_id} fn={fn} />
          ))}
        </div>
      )}
    </section>
  );
}

function FunctionLine({ fn }: { fn: Fn }) {
  return (
    <div class="row link" role="row">
      <span role="cell" class="name">
        <a href={to(["functions", fn.function_id])}>{fn.name}</a>
      </span>
      <span role="cell">
        <FunctionState fn={fn} />
      </span>
      <span role="cell" class="num" data-name="containers" title={`${fn.observed} checked in of ${fn.plan} planned`}>
        {exact(fn.observed)}
        <span class="muted">/{exact(fn.plan)}</span>
      </span>
      <span role="cell" class="num" data-name="running">
        {count(fn.running)}
      </span>
      <span role="cell" class="num" data-name="waiting">
        {count(fn.pending)}
      </span>
      <span role="cell" class="num" data-name="finished" title={`${exact(fn.done)} in all`}>
        {rate(fn.rate)}
      </span>
      <span role="cell" class="num" data-name="takes" title="The median of what ended within the last second">
        {span(fn.run?.p50)}
      </span>
      <span role="cell" class="trend">
        <Sparkline values={trails.get(fn.function_id)?.load ?? []} label="inputs over the last minutes" />
      </span>
    </div>
  );
}

function Nodes({ nodes }: { nodes: Node[] }) {
  const [only] = nodes;
  return (
    <section aria-label="Nodes">
      <h2>{nodes.length === 1 ? "Node" : `${exact(nodes.length)} nodes`}</h2>
      {nodes.length === 1 && only ? (
        <NodeCard node={only}>
          <h3 title={only.name}>{only.name}</h3>
        </NodeCard>
      ) : (
        <NodeRows nodes={nodes} limit={NODES_SHOWN} />
      )}
      <RefusedNodes />
    </section>
  );
}

function Newcomer() {
  return (
    <section class="card empty">
      <h2>Nothing runs here yet</h2>
      <p>Deploy an app, and it appears on this page:</p>
      <pre>
        <code>swell deploy examples/deployed.py</code>
      </pre>
      <p>
        Or run one for as long as your terminal waits for it. Its functions start containers when they are called, and
        are back at zero when nobody calls them.
      </p>
      <pre>
        <code>swell run examples/hello.py</code>
      </pre>
    </section>
  );
}
