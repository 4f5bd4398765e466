// Calls: those that go on, and those that ended lately.
import { useState } from "preact/hooks";
import { signal } from "@preact/signals";
import { live, type Call } from "../live";
import { exact, span } from "../format";
import { to } from "../route";
import { Filter, More } from "../parts/list";
import { CallState } from "../parts/state";
import { Ago, now } from "../parts/when";

const STEP = 100;
const wanted = signal("");

export function Calls() {
  const words = wanted.value.toLowerCase().split(/\s+/).filter(Boolean);
  const found = live.value!.calls.filter((call) => {
    const text = `${call.id} ${call.app}.${call.function} ${call.kind} ${call.state}`.toLowerCase();
    return words.every((word) => text.includes(word));
  });
  return (
    <section>
      <header class="title">
        <h1>Calls</h1>
        <span class="muted">those that go on, and the latest that ended</span>
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
          {rows.slice(0, shown).map((call) => (
            <tr key={call.id}>
              <td class="id">
                <a href={to(["calls", call.id])} title={call.id}>
                  {call.id.slice(0, 11)}
                </a>
                {!bare && <small class="under">{call.function}</small>}
              </td>
              {!bare && (
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
                <Ago at={call.opened_at} />
              </td>
              <td class="right num">{span((call.ended_at ?? now()) - call.opened_at)}</td>
              <td class="right num" title={`${exact(call.pending)} wait, ${exact(call.running)} run`}>
                {exact(call.done)}
                <span class="muted">/{call.total === null ? "…" : exact(call.total)}</span>
              </td>
            </tr>
          ))}
        </tbody>
      </table>
      <More hidden={rows.length - shown} onMore={() => setShown(shown + STEP)} />
    </div>
  );
}
