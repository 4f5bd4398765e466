// A machine on which containers run: on a card, and as a row of a list. Must not know which page shows it.
import type { ComponentChildren } from "preact";
import { useState } from "preact/hooks";
import { live, type Node } from "../live";
import { bytes, clock, cores, exact, roughly, span } from "../format";
import { to } from "../route";
import { More } from "./list";
import { Meter } from "./meter";
import { Pill, type Mood } from "./state";
import { now } from "./when";

const STEP = 100;
const SILENT_S = 2.5; // a node gives a sign of life every second

/** With one machine there is nothing to tell apart. */
export const hasSeveral = (): boolean => live.value!.nodes.length + live.value!.refused_nodes.length > 1;

export function NodeCard({ node, children }: { node: Node; children?: ComponentChildren }) {
  return (
    <div class="card node">
      {children}
      <Meter name="CPU busy" used={node.busy_cores} all={node.cores} say={cores} unit="cores" />
      <Meter name="CPU reserved" used={node.cpu_used} all={node.cores} say={cores} unit="cores" />
      <Meter name="Memory reserved" used={node.memory_used_bytes} all={node.memory_bytes} say={bytes} />
      {node.gpus > 0 && <Meter name="GPUs" used={node.gpus_used} all={node.gpus} say={exact} />}
    </div>
  );
}

const STATES: Record<string, Mood> = { ready: "good", draining: "warn" };

export function NodeState({ node }: { node: Node }) {
  const until = node.drain_until === null ? "" : ` until ${clock(node.drain_until)}`;
  return <Pill mood={STATES[node.state] ?? "calm"}>{`${node.state}${until}`}</Pill>;
}

/** How a node is connected: how long an answer takes, or for how long there has been none. */
export function NodeLink({ node }: { node: Node }) {
  if (node.link === null) return <span class="muted">this machine</span>;
  const silent = now() - node.link.heard_at;
  if (silent > SILENT_S) return <span class="trouble">silent for {roughly(silent)}</span>;
  return <span title="How long a word and its answer took last">{span(node.link.round_trip_s)}</span>;
}

const { compare } = new Intl.Collator("en", { numeric: true }); // node-9 before node-10

const inOrder = (nodes: Node[]): Node[] => [...nodes].sort((one, other) => compare(one.name, other.name));

export function NodeRows({ nodes, limit = STEP }: { nodes: Node[]; limit?: number }) {
  const [shown, setShown] = useState(limit);
  const hasGpus = nodes.some((node) => node.gpus > 0);
  if (nodes.length === 0) return <p class="card empty-list muted">None yet.</p>;
  return (
    <div class="card list">
      <table class="machines">
        <thead>
          <tr>
            <th>Node</th>
            <th>State</th>
            <th class="right wide">Containers</th>
            <th class="right">Busy cores</th>
            <th class="right wide">Reserved cores</th>
            <th class="right wide">Reserved memory</th>
            {hasGpus && <th class="right wide">GPUs</th>}
            <th class="right">Link</th>
          </tr>
        </thead>
        <tbody>
          {inOrder(nodes).slice(0, shown).map((node) => (
            <tr key={node.name}>
              <td class="ellipsis">
                <a href={to(["nodes", node.name])} title={node.name}>
                  {node.name}
                </a>
              </td>
              <td>
                <NodeState node={node} />
              </td>
              <td class="right num wide">{exact(node.containers)}</td>
              <Share used={cores(node.busy_cores)} all={cores(node.cores)} />
              <Share used={cores(node.cpu_used)} all={cores(node.cores)} wide />
              <Share used={bytes(node.memory_used_bytes)} all={bytes(node.memory_bytes)} wide />
              {hasGpus && <Share used={exact(node.gpus_used)} all={exact(node.gpus)} wide />}
              <td class="right num">
                <NodeLink node={node} />
              </td>
            </tr>
          ))}
        </tbody>
      </table>
      <More hidden={nodes.length - shown} onMore={() => setShown(shown + STEP)} />
    </div>
  );
}

/** Machines that are there and get no containers, each with the reason. */
export function RefusedNodes() {
  const refused = live.value!.refused_nodes;
  if (refused.length === 0) return null;
  return (
    <ul class="plain refused" aria-label="Refused nodes">
      {refused.map((node) => (
        <li key={node.name}>
          <Pill mood="bad">refused</Pill> <b>{node.name}</b> <span class="muted">{node.reason}</span>
        </li>
      ))}
    </ul>
  );
}

function Share({ used, all, wide }: { used: string; all: string; wide?: boolean }) {
  return (
    <td class={`right num ${wide ? "wide" : ""}`}>
      {used} <span class="muted">of {all}</span>
    </td>
  );
}
