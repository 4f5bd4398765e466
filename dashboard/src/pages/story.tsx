// One call or container: what happened to it, when, and where its time went.
import { useEffect, useState } from "preact/hooks";
import { api, ask } from "../api";
import { live } from "../live";
import { clock, exact, moment } from "../format";
import { to } from "../route";
import { Missing } from "../parts/missing";
import { hasSeveral } from "../parts/node";
import { Pill } from "../parts/state";
import { seconds, Timeline, type Story } from "../parts/timeline";
import { useInputs, Waterfall } from "./waterfall";

type Call = { app_name: string; function_name: string; kind: string; state: string; num_inputs: number | null };
type Told = { about: string; story: Story } | { about: string; trouble: string };

/** Ask again with every news until the subject has come to its end. */
function useStory(about: string, isOver: (story: Story) => boolean): Told | null {
  const [told, setTold] = useState<Told | null>(null);
  const current = told?.about === about ? told : null;
  const at = live.value?.at;
  useEffect(() => {
    if (current && "story" in current && isOver(current.story)) return;
    let left = false;
    ask<Story>(api("why", about))
      .then((story) => !left && setTold({ about, story }))
      .catch((error: Error) => !left && setTold({ about, trouble: error.message }));
    return () => {
      left = true;
    };
  }, [about, at]);
  return current;
}

const hasEnded = (story: Story): boolean => /^(ended|succeeded|failed|cancelled|timed|terminated|stopped|lost)/i.test(story.state);

export function CallPage({ id }: { id: string }) {
  const told = useStory(id, hasEnded);
  const [call, setCall] = useState<Call | null>(null);
  const [trouble, setTrouble] = useState("");
  const state = told && "story" in told ? told.story.state : "";
  useEffect(() => {
    if (state) ask<Call>(api("calls", id)).then(setCall, () => setCall(null)); // its app may be long gone
  }, [id, state]);
  const name = call?.function_name.replace(/\.\*$/, "");
  const fn = call && live.value!.functions.find((each) => each.app_name === call.app_name && each.name === name);
  const total = call?.num_inputs ?? 0;
  const inputs = useInputs(id, total, call !== null && call.state !== "open");
  if (!told) return <p class="muted" role="status">Reading…</p>;
  if ("trouble" in told) return <Missing what="This call" why={told.trouble} />;
  const cancel = () => ask(api("calls", id, "cancel"), "POST", {}).catch((error: Error) => setTrouble(error.message));
  return (
    <>
      <header class="title">
        <nav class="crumbs" aria-label="You are here">
          <a href={to(["calls"])}>Calls</a> / {fn ? <a href={to(["functions", fn.function_id])}>{`${fn.app_name}.${fn.name}`}</a> : call && `${call.app_name}.${name}`}
        </nav>
        <h1 class="mono">{id}</h1>
        <StoryState story={told.story} />
        {call && <span class="muted">{call.kind}</span>}
        {call && (
          <a class="end" href={to(["logs"], { app: fn ? fn.app_id : call.app_name, call: id })}>
            Logs
          </a>
        )}
        {call && call.state === "open" && (
          <button type="button" class="quiet" onClick={cancel}>
            Cancel
          </button>
        )}
        {trouble && <p class="trouble">{trouble}</p>}
      </header>
      <Timeline story={(total === 1 && inputs[0]) || told.story} />
      <Waterfall inputs={inputs} total={total} />
      <Events story={told.story} />
    </>
  );
}

export function ContainerPage({ id }: { id: string }) {
  const told = useStory(id, hasEnded);
  const row = live.value!.containers.rows.find((each) => each.container_id === id);
  if (!told) return <p class="muted" role="status">Reading…</p>;
  if ("trouble" in told) return <Missing what="This container" why={told.trouble} />;
  return (
    <>
      <header class="title">
        <nav class="crumbs" aria-label="You are here">
          <a href={to(["containers"])}>Containers</a> /{" "}
          {row && <a href={to(["functions", row.function_id])}>{`${row.app_name}.${row.function_name}`}</a>}
          {row && hasSeveral() && (
            <>
              {" "}
              on <a href={to(["nodes", row.node])}>{row.node}</a>
            </>
          )}
        </nav>
        <h1 class="mono">{id}</h1>
        <StoryState story={told.story} />
        <a class="end" href={to(["logs"], { app: row?.app_name ?? "", container: id })}>
          Logs
        </a>
      </header>
      <Timeline story={told.story} />
      <Events story={told.story} />
    </>
  );
}

function StoryState({ story }: { story: Story }) {
  const state = story.state;
  const mood = /fail|timed|lost/i.test(state) ? "bad" : /succe|ready|running|busy/i.test(state) ? "good" : "calm";
  return <Pill mood={mood}>{state}</Pill>;
}

/** Text in which ids of calls and containers are links. */
function linked(text: string) {
  return text.split(/((?:ta|fc)-\w+)/).map((part, i) => {
    if (i % 2 === 0) return part;
    const page = part.startsWith("ta-") ? "containers" : "calls";
    return (
      <a key={i} class="mono" href={to([page, part])}>
        {part.slice(0, page === "calls" ? 11 : 9)}
      </a>
    );
  });
}

function Events({ story }: { story: Story }) {
  const began = story.events[0] ? seconds(story.events[0].at) : 0;
  return (
    <section class="card events">
      <h3>What happened</h3>
      {began > 0 && <p class="muted num">It began at {moment(began)}.</p>}
      <ol class="plain">
        {story.events.map((event, i) => (
          <li key={i}>
            <time class="num muted" dateTime={event.at} title={`${clock(seconds(event.at))}, ${event.at}`}>
              +{(seconds(event.at) - began).toFixed(3)} s
            </time>
            <span>{linked(event.text)}</span>
          </li>
        ))}
      </ol>
      {story.events.length === 0 && <p class="muted">{exact(0)} events are remembered.</p>}
    </section>
  );
}
