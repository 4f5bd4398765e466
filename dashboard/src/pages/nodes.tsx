// Nodes: the machines on which containers run, and one of them with its containers.
import { signal } from "@preact/signals";
import { live } from "../live";
import { bytes, exact } from "../format";
import { to } from "../route";
import { Filter } from "../parts/list";
import { Missing } from "../parts/missing";
import { NodeCard, NodeLink, NodeRows, NodeState, RefusedNodes } from "../parts/node";
import { past } from "../parts/when";
import { ContainerRows } from "./containers";

const wanted = signal("");

export function Nodes() {
  const { nodes } = live.value!;
  const words = wanted.value.toLowerCase().split(/\s+/).filter(Boolean);
  const found = nodes.filter((node) => words.every((word) => `${node.name} ${node.state}`.toLowerCase().includes(word)));
  return (
    <section>
      <header class="title">
        <h1>Nodes</h1>
        <span class="muted num">{exact(nodes.length)}</span>
        <Filter value={wanted} placeholder="Name or state" />
      </header>
      <NodeRows nodes={found} />
      <RefusedNodes />
    </section>
  );
}

export function NodePage({ id }: { id: string }) {
  const node = live.value!.nodes.find((each) => each.name === id);
  if (!node) return <Missing what="This node" why={`There is no node ${id}. What ran there was lost, and runs elsewhere.`} />;
  const rows = live.value!.containers.rows.filter((row) => row.node === id);
  const { link } = node;
  return (
    <>
      <header class="title">
        <nav class="crumbs" aria-label="You are here">
          <a href={to(["nodes"])}>Nodes</a> /
        </nav>
        <h1>{id}</h1>
        <NodeState node={node} />
        <dl class="facts num">
          <Fact name="Containers started">{exact(node.started)}</Fact>
          <Fact name="Containers lost">{exact(node.lost)}</Fact>
          <Fact name="Link">
            <NodeLink node={node} />
          </Fact>
          {link && <Fact name="Heard of">{past(link.heard_at)}</Fact>}
          {link && <Fact name="Sent to it">{bytes(link.sent_bytes)}</Fact>}
          {link && <Fact name="Came from it">{bytes(link.received_bytes)}</Fact>}
        </dl>
      </header>
      <NodeCard node={node} />
      <section>
        <header class="title">
          <h2>Containers</h2>
          <span class="muted num">
            {exact(node.containers)}
            {node.containers > rows.length && `, ${exact(rows.length)} of them listed`}
          </span>
        </header>
        <ContainerRows rows={rows} limit={100} withNodes={false} />
      </section>
    </>
  );
}

function Fact({ name, children }: { name: string; children: preact.ComponentChildren }) {
  return (
    <div>
      <dt>{name}</dt>
      <dd>{children}</dd>
    </div>
  );
}
