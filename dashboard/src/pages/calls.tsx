// Calls: those that go on, and those that ended lately.
import { useState } from "preact/hooks";
import { signal } from "@preact/signals";
import { live, type Call } from "../live";
import { exact, span } from "../format";
import { to } from "../route";
import { Filter, More } from "../parts/list";
import { CallState, phase } from "../parts/state";
import { still } from "../parts/still";
import { Moment, now, past } from "../parts/when";

const STEP = 100;
const wanted = signal("");

export function Calls() {
  // Where many calls come, rows would leave before they can be clicked at.
  const [paused, setPaused] = useState<Call[] | null>(null);
  const words = wanted.value.toLowerCase().split(/\s+/).filter(Boolean);
  const all = live.value!.calls;
  const found = (paused ?? all).filter((call) => {
    const text = `${call.call_id} ${call.app_name}.${call.function_name} ${call.kind} ${phase(call)}`.toLowerCase();
    return words.every((word) => text.includes(word));
  });
  return (
    <section>
      <header class="title">
        <h1>Calls</h1>
        <span class="muted">those that go on, and the latest that ended</span>
        <button type="button" class="pause" aria-pressed={paused !== null} onClick={() => setPaused(paused ? null : all)}>
          {paused ? "Go on" : "Pause"}
        </button>
        <Filter value={wanted} placeholder="Function, kind, id or state" />
      </header>
      <CallRows rows={found} limit={STEP} />
    </section>
  );
}

export function CallRows({ rows, limit, bare }: { rows: Call[]; limit: number; bare?: boolean }) {
  const [shown, setShown] = useState(limit);
  if (rows.length === 0) return <p class="card empty-list muted">None lately.</p>;
  return (
    <div class="card list">
      <table class="calls">
        <thead>
          <tr>
            <th>Call</th>
            {!bare && <th class="wide">Function</th>}
            <th class="wide">Kind</th>
            <th>State</th>
            <th class="right wide">Began</th>
            <th class="right">Took</th>
            <th class="right">Inputs</th>
          </tr>
        </thead>
        <tbody>
          {rows.slice(0, shown).map((call, i) => (
            <Row
              key={i} // not the id: a hundred new calls a second would be a hundred new rows, ten times the work
              id={call.call_id}
              app={call.app_name}
              function={call.function_name}
              kind={call.kind}
              state={phase(call)}
              at={call.opened_at}
              began={past(call.opened_at)}
              took={span((call.ended_at ?? now()) - call.opened_at)}
              pending={call.pending}
              running={call.running}
              done={call.done}
              total={call.num_inputs}
              bare={bare}
            />
          ))}
        </tbody>
      </table>
      <More hidden={rows.length - shown} onMore={() => setShown(shown + STEP)} />
    </div>
  );
}

type RowProps = {
  id: string;
  app: string;
  function: string;
  kind: string;
  state: string;
  at: number;
  began: string;
  took: string;
  pending: number;
  running: number;
  done: number;
  total: number | null;
  bare?: boolean;
};

const Row = still((call: RowProps) => (
  <tr>
    <td class="id">
      <a href={to(["calls", call.id])} title={call.id}>
        {call.id.slice(0, 11)}
      </a>
      {!call.bare && <small class="under">{call.function}</small>}
    </td>
    {!call.bare && (
      <td class="ellipsis wide">
        <span class="muted">{call.app}.</span>
        {call.function}
      </td>
    )}
    <td class="wide">{call.kind}</td>
    <td>
      <CallState state={call.state} />
    </td>
    <td class="right wide">
      <Moment at={call.at} text={call.began} />
    </td>
    <td class="right num">{call.took}</td>
    <td class="right num" title={`${exact(call.pending)} wait, ${exact(call.running)} run`}>
      {exact(call.done)}
      <span class="muted">/{call.total === null ? "…" : exact(call.total)}</span>
    </td>
  </tr>
));
