// What containers write, as they write it: of an app, narrowed to a function, a container or a call.
import { useEffect, useLayoutEffect, useMemo, useRef, useState } from "preact/hooks";
import { live } from "../live";
import { clock, exact, moment } from "../format";
import { place, to } from "../route";

type Written = { at: number; function_name: string; container_id: string; stream: string; text: string; call_ids: string[] };
type Line = Written & { key: number };
type Following = "following" | "over" | "lost";

const KEPT_MAX = 2_000;
const SHOWN_MAX = 300; // each is laid out anew as others come
const RETRY_MS = 2_000;

export function Logs() {
  const query = Object.fromEntries(place.value.query) as Record<string, string>;
  const apps = live.value!.apps;
  const app = query.app || (query.container ? "" : (apps.find((each) => each.state !== "stopped")?.app_id ?? ""));
  const known = apps.find((each) => each.app_id === app || each.name === app);
  const functions = live.value!.functions.filter((fn) => fn.app_id === known?.app_id);
  const go = (change: Record<string, string>) => (location.hash = to(["logs"], { ...query, app, ...change }));
  return (
    <section class="logs">
      <header class="title">
        <h1>Logs</h1>
        <select
          aria-label="App"
          value={known?.app_id ?? app}
          onChange={(event) => go({ app: event.currentTarget.value, function: "", container: "", call: "" })}
        >
          {apps.map((each) => (
            <option key={each.app_id} value={each.app_id}>
              {each.name || each.app_id} {each.state === "stopped" ? "(stopped)" : ""}
            </option>
          ))}
        </select>
        <select
          aria-label="Function"
          value={query.function ?? ""}
          onChange={(event) => go({ function: event.currentTarget.value })}
        >
          <option value="">all functions</option>
          {functions.map((fn) => (
            <option key={fn.function_id} value={fn.name}>
              {fn.name}
            </option>
          ))}
        </select>
        {(["container", "call"] as const).map(
          (name) =>
            query[name] && (
              <button key={name} type="button" class="chip" onClick={() => go({ [name]: "" })} title="Show all again">
                {name} {query[name]!.slice(0, 11)} <span aria-hidden="true">×</span>
              </button>
            ),
        )}
      </header>
      {app || query.container ? (
        <Feed
          key={`${app} ${query.function} ${query.container} ${query.call}`}
          of={{ app, function: query.function ?? "", container: query.container ?? "", call: query.call ?? "" }}
        />
      ) : (
        <p class="card empty-list muted">No app has run here yet.</p>
      )}
    </section>
  );
}

function Feed({ of }: { of: Record<string, string> }) {
  const kept = useRef<Line[]>([]);
  const number = useRef(0);
  const [, redraw] = useState(0);
  const [following, setFollowing] = useState<Following>("following");
  const [why, setWhy] = useState("");
  const [paused, setPaused] = useState<Line[] | null>(null);
  const [search, setSearch] = useState("");
  const [stream, setStream] = useState("");
  const [skipped, setSkipped] = useState(0);

  useEffect(() => {
    let source: EventSource;
    let retry = 0;
    let frame = 0;
    const draw = () => {
      frame ||= requestAnimationFrame(() => {
        frame = 0;
        redraw((n) => n + 1);
      });
    };
    const open = () => {
      source = new EventSource(`/live/logs?${new URLSearchParams(of)}`);
      source.onopen = () => {
        kept.current = []; // it begins anew with the latest
        setFollowing("following");
        draw();
      };
      source.addEventListener("lines", (event) => {
        const told = JSON.parse((event as MessageEvent).data) as Written[];
        kept.current = [...kept.current, ...told.flatMap(apart).map((line) => ({ ...line, key: number.current++ }))].slice(-KEPT_MAX);
        draw();
      });
      source.addEventListener("skipped", (event) => setSkipped((n) => n + Number((event as MessageEvent).data)));
      source.addEventListener("over", (event) => {
        source.close();
        setWhy(JSON.parse((event as MessageEvent).data) as string);
        setFollowing("over");
      });
      source.onerror = () => {
        source.close();
        setFollowing("lost");
        retry = window.setTimeout(open, RETRY_MS);
      };
    };
    open();
    return () => {
      source.close();
      clearTimeout(retry);
      cancelAnimationFrame(frame);
    };
  }, []);

  const all = paused ?? kept.current;
  const needle = search.toLowerCase();
  const found = all.filter(
    (line) => (!stream || line.stream === stream) && (!needle || line.text.toLowerCase().includes(needle)),
  );
  const shown = found.slice(-SHOWN_MAX);
  const box = useRef<HTMLDivElement>(null);
  const atEnd = useRef(true);
  const last = shown.at(-1)?.key;
  useLayoutEffect(() => {
    if (atEnd.current && box.current) box.current.scrollTop = box.current.scrollHeight;
  }, [last, search, stream]);
  const waiting = paused ? kept.current.filter((line) => line.key > (paused.at(-1)?.key ?? -1)).length : 0;

  return (
    <>
      <div class="tools">
        <input
          class="filter"
          type="search"
          placeholder="Search"
          aria-label="Search in the lines"
          value={search}
          onInput={(event) => setSearch(event.currentTarget.value)}
        />
        <select aria-label="Stream" value={stream} onChange={(event) => setStream(event.currentTarget.value)}>
          <option value="">all streams</option>
          <option>stdout</option>
          <option>stderr</option>
          <option>system</option>
        </select>
        <button type="button" aria-pressed={paused !== null} onClick={() => setPaused(paused ? null : kept.current)}>
          {paused ? `Go on${waiting ? ` (${exact(waiting)} new)` : ""}` : "Pause"}
        </button>
        <span class="muted num">
          {needle || stream ? `${exact(found.length)} of ${exact(all.length)} lines` : `${exact(all.length)} lines`}
          {skipped > 0 && `, ${exact(skipped)} skipped: they came faster than they could be shown`}
          <span role="status">
            {following === "lost" && ", connection lost, trying again…"}
            {following === "over" && `, ${why || "nothing more can come"}`}
          </span>
        </span>
      </div>
      <div
        class="card lines"
        ref={box}
        tabIndex={0}
        role="log"
        aria-live="off" // lines may come a hundred times a second
        aria-label="Lines"
        onScroll={(event) => {
          const { scrollTop, scrollHeight, clientHeight } = event.currentTarget;
          atEnd.current = scrollHeight - scrollTop - clientHeight < 24;
        }}
      >
        {found.length > shown.length && <p class="muted">{exact(found.length - shown.length)} older lines are not shown; search finds them</p>}
        {shown.map((line) => (
          <LogLine key={line.key} line={line} needle={needle} />
        ))}
        {shown.length === 0 && <p class="muted">{all.length ? "No line is like that." : "Nothing was written yet."}</p>}
      </div>
    </>
  );
}

/** One entry for each line of what was written together. */
const apart = (written: Written): Written[] => written.text.split("\n").map((text) => ({ ...written, text }));

function LogLine({ line, needle }: { line: Line; needle: string }) {
  // A line never changes: while others come, it costs nothing.
  return useMemo(
    () => (
      <div class={`line ${line.stream}`}>
        <time class="num muted" title={moment(line.at)}>
          {clock(line.at)}
        </time>
        <a class="source" href={to(["containers", line.container_id])} title={`${line.function_name}, ${line.container_id}`}>
          {line.function_name} {line.container_id.slice(0, 9)}
        </a>
        <span class="text">{needle ? marked(line.text, needle) : line.text}</span>
      </div>
    ),
    [line, needle],
  );
}

function marked(text: string, needle: string) {
  const parts = [];
  const low = text.toLowerCase();
  let from = 0;
  for (let at = low.indexOf(needle); at >= 0; at = low.indexOf(needle, from)) {
    parts.push(text.slice(from, at), <mark key={at}>{text.slice(at, at + needle.length)}</mark>);
    from = at + needle.length;
  }
  return [...parts, text.slice(from)];
}
