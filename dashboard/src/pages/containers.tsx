// Containers: what each one is doing, and a way to stop it.
import { useCallback, useRef, useState } from "preact/hooks";
import { signal } from "@preact/signals";
import { api, ask } from "../api";
import { live, type Container } from "../live";
import { exact } from "../format";
import { to } from "../route";
import { ContainerState } from "../parts/state";
import { Filter, More } from "../parts/list";
import { hasSeveral } from "../parts/node";
import { still } from "../parts/still";
import { lasted, Moment } from "../parts/when";

const STEP = 100;
const wanted = signal("");

export function Containers() {
  const { total, rows } = live.value!.containers;
  const words = wanted.value.toLowerCase().split(/\s+/).filter(Boolean);
  const found = rows.filter((row) => {
    const text = `${row.container_id} ${row.app_name} ${row.function_name} ${row.node} ${row.state} ${row.running ? "busy" : "idle"}`.toLowerCase();
    return words.every((word) => text.includes(word));
  });
  return (
    <section>
      <header class="title">
        <h1>Containers</h1>
        <span class="muted num">
          {exact(total)}
          {total > rows.length && `, the latest ${exact(rows.length)} listed`}
        </span>
        <Filter value={wanted} placeholder={hasSeveral() ? "App, function, node, id or state" : "App, function, id or state"} />
      </header>
      <ContainerRows rows={found} limit={STEP} />
    </section>
  );
}

type Rows = { rows: Container[]; limit: number; bare?: boolean; withNodes?: boolean };

export function ContainerRows({ rows, limit, bare, withNodes = hasSeveral() }: Rows) {
  const [shown, setShown] = useState(limit);
  const [leaving, setLeaving] = useState<Container | null>(null);
  const known = useRef(rows);
  known.current = rows;
  const leave = useCallback((id: string) => setLeaving(known.current.find((row) => row.container_id === id) ?? null), []);
  if (rows.length === 0) return <p class="card empty-list muted">None.</p>;
  return (
    <div class="card list">
      <table class="containers">
        <thead>
          <tr>
            <th>Container</th>
            {!bare && <th class="wide">Function</th>}
            {withNodes && <th class="wide">Node</th>}
            <th>State</th>
            <th class="right">Age</th>
            <th class="right wide">Running</th>
            <th class="right">Served</th>
            <th>
              <span class="sr">Actions</span>
            </th>
          </tr>
        </thead>
        <tbody>
          {rows.slice(0, shown).map((row) => (
            <Row
              key={row.container_id}
              id={row.container_id}
              app={row.app_name}
              function={row.function_name}
              functionId={row.function_id}
              state={row.state}
              executing={row.running}
              served={row.served}
              since={row.requested_at}
              age={lasted(row.requested_at)}
              node={withNodes ? row.node : null}
              bare={bare}
              leave={leave}
            />
          ))}
        </tbody>
      </table>
      <More hidden={rows.length - shown} onMore={() => setShown(shown + STEP)} />
      {leaving && <StopDialog row={leaving} close={() => setLeaving(null)} />}
    </div>
  );
}

type RowProps = {
  id: string;
  app: string;
  function: string;
  functionId: string;
  state: string;
  executing: number;
  served: number;
  since: number;
  age: string;
  node: string | null; // null: there is one machine
  bare?: boolean;
  leave: (id: string) => void;
};

const Row = still((row: RowProps) => (
  <tr>
    <td class="id">
      <a href={to(["containers", row.id])} title={row.id}>
        {row.id.slice(0, 9)}
      </a>
      {!row.bare && <small class="under">{row.function}</small>}
    </td>
    {!row.bare && (
      <td class="ellipsis wide">
        <a href={to(["functions", row.functionId])}>
          <span class="muted">{row.app}.</span>
          {row.function}
        </a>
      </td>
    )}
    {row.node !== null && (
      <td class="ellipsis wide">
        <a href={to(["nodes", row.node])}>{row.node}</a>
      </td>
    )}
    <td>
      <ContainerState state={row.state} executing={row.executing} />
    </td>
    <td class="right">
      <Moment at={row.since} text={row.age} />
    </td>
    <td class="right num wide">{exact(row.executing)}</td>
    <td class="right num">{exact(row.served)}</td>
    <td class="right">
      <button type="button" class="quiet" onClick={() => row.leave(row.id)} aria-label={`Stop ${row.id}`}>
        Stop
      </button>
    </td>
  </tr>
));

function StopDialog({ row, close }: { row: Container; close: () => void }) {
  const dialog = useRef<HTMLDialogElement>(null);
  const [trouble, setTrouble] = useState("");
  const open = (element: HTMLDialogElement | null) => {
    dialog.current = element;
    if (element && !element.open) element.showModal();
  };
  const stop = async (graceful: boolean) => {
    try {
      await ask(api("containers", row.container_id, "stop"), "POST", { graceful });
      dialog.current?.close();
    } catch (error) {
      setTrouble((error as Error).message);
    }
  };
  return (
    <dialog ref={open} onClose={close} aria-label={`Stop ${row.container_id}`}>
      <h2>Stop {row.container_id.slice(0, 9)}?</h2>
      <p>
        It runs <b>{row.function_name}</b> of {row.app_name}. If it is still needed, another container takes its place.
      </p>
      {trouble && <p class="trouble">{trouble}</p>}
      <div class="actions">
        <button type="button" onClick={() => dialog.current?.close()}>
          Cancel
        </button>
        <button type="button" onClick={() => stop(false)} title="What it runs is run again elsewhere">
          At once
        </button>
        <button type="button" class="primary" onClick={() => stop(true)} title="It finishes what it runs">
          When it has finished
        </button>
      </div>
    </dialog>
  );
}
