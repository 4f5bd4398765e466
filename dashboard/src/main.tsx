// The page: its bar, and the part that the URL names.
import { render } from "preact";
import { useEffect } from "preact/hooks";
import "uplot/dist/uPlot.min.css";
import "./style.css";
import { connection, listen, live } from "./live";
import { place, to } from "./route";
import { theme, toggleTheme } from "./theme";
import { Calls } from "./pages/calls";
import { Containers } from "./pages/containers";
import { FunctionPage } from "./pages/function";
import { Logs } from "./pages/logs";
import { NodePage, Nodes } from "./pages/nodes";
import { Overview } from "./pages/overview";
import { CallPage, ContainerPage } from "./pages/story";
import { Missing } from "./parts/missing";
import { hasSeveral } from "./parts/node";
import { Age } from "./parts/when";

const PAGES = [
  { name: "Overview", path: "" },
  { name: "Nodes", path: "nodes" },
  { name: "Containers", path: "containers" },
  { name: "Calls", path: "calls" },
  { name: "Logs", path: "logs" },
];

function Page() {
  const [page = "", id = ""] = place.value.path;
  const title = PAGES.find((each) => each.path === page)?.name ?? page;
  const fn = page === "functions" ? live.value?.functions.find((each) => each.function_id === id) : undefined;
  const name = fn ? `${fn.app_name}.${fn.name}` : id || title;
  useEffect(() => {
    document.title = `${name} · swell`;
  }, [name]);
  return (
    <>
      <a class="skip" href="#main" onClick={(event) => (event.preventDefault(), document.getElementById("main")?.focus())}>
        Skip to the content
      </a>
      <Bar page={page} />
      <main id="main" tabIndex={-1}>
        <Notice />
        {live.value ? <Shown page={page} id={id} /> : <p class="muted" role="status">Connecting…</p>}
      </main>
    </>
  );
}

function Shown({ page, id }: { page: string; id: string }) {
  if (page === "") return <Overview />;
  if (page === "functions" && id) return <FunctionPage key={id} id={id} />;
  if (page === "nodes") return id ? <NodePage key={id} id={id} /> : <Nodes />;
  if (page === "containers") return id ? <ContainerPage key={id} id={id} /> : <Containers />;
  if (page === "calls") return id ? <CallPage key={id} id={id} /> : <Calls />;
  if (page === "logs") return <Logs />;
  return <Missing what="This page" why="The address names nothing that the dashboard has." />;
}

function Bar({ page }: { page: string }) {
  const state = connection.value;
  const server = live.value?.server;
  const pages = PAGES.filter((each) => each.path !== "nodes" || page === "nodes" || (live.value && hasSeveral()));
  return (
    <header class="bar">
      <a class="logo" href={to([])} aria-label="swell, overview">
        <svg viewBox="0 0 32 32" aria-hidden="true">
          <rect width="32" height="32" rx="8" />
          <path d="M5 20c4 0 4.5-8 9-8 4 0 3.5 5 7 5 2.5 0 3.5-2 6-2" />
        </svg>
        <span>swell</span>
      </a>
      <nav aria-label="Pages">
        {pages.map((each) => {
          const isHere = each.path === page || (each.path === "" && page === "functions");
          return (
            <a key={each.path} href={to(each.path ? [each.path] : [])} aria-current={isHere ? "page" : undefined}>
              {each.name}
            </a>
          );
        })}
      </nav>
      <span class={`connection ${state.replace(" ", "-")}`}>
        <i aria-hidden="true" />
        <span role="status">{state}</span>
        {server && state === "live" && (
          <span class="muted up">
            v{server.version}, up <Age since={server.started_at} />
          </span>
        )}
      </span>
      <button
        type="button"
        class="quiet theme"
        onClick={toggleTheme}
        aria-label={theme.value === "dark" ? "Switch to light colours" : "Switch to dark colours"}
        title={theme.value === "dark" ? "Light" : "Dark"}
      >
        <svg viewBox="0 0 20 20" aria-hidden="true">
          {theme.value === "dark" ? (
            <path d="M10 5.500a4.5 4.5 0 1 0 0 9 4.5 4.5 0 0 0 0-9ZM10 1v2M10 17v2M1 10h2M17 10h2M3.6 3.6 5 5M15 15l1.4 1.400M3.6 16.4 5 15M15 5l1.4-1.4" />
          ) : (
            <path d="M16.5 12.300A7 7 0 0 1 7.7 3.500a7 7 0 1 0 8.8 8.800Z" />
          )}
        </svg>
      </button>
    </header>
  );
}

function Notice() {
  if (connection.value === "lost") {
    return (
      <p class="notice" role="alert">
        The connection is lost. What you see is how things were; trying again…
      </p>
    );
  }
  if (connection.value === "logged out") {
    return (
      <p class="notice" role="alert">
        You are not logged in any more. Type <code>swell dashboard</code> in a terminal.
      </p>
    );
  }
  return null;
}

listen();
render(<Page />, document.getElementById("page")!);
