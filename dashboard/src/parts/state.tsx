// The state of something, as a word with a colour. The word alone says it, too.
import type { Call, Fn } from "../live";

export type Mood = "good" | "busy" | "calm" | "warn" | "bad";

export function Pill({ mood, children, title }: { mood: Mood; children: string; title?: string }) {
  return (
    <span class={`pill ${mood}`} title={title}>
      {children}
    </span>
  );
}

const CONTAINERS: Record<string, Mood> = {
  requested: "busy",
  starting: "busy",
  ready: "good",
  draining: "warn",
  stopped: "calm",
  failed: "bad",
  lost: "bad",
};

export function ContainerState({ state, executing }: { state: string; executing: number }) {
  const word = state.toLowerCase();
  if (word === "ready") return <Pill mood={executing ? "good" : "calm"}>{executing ? "busy" : "idle"}</Pill>;
  return <Pill mood={CONTAINERS[word] ?? "calm"}>{word}</Pill>;
}

/** What a function is about, in one word. */
export function functionState(fn: Fn): { mood: Mood; word: string } {
  if (fn.is_retired) return { mood: "warn", word: "retired" };
  if (fn.held_back && fn.pending) return { mood: "bad", word: "held back" };
  if (fn.starting && !fn.observed) return { mood: "busy", word: "starting" };
  if (fn.pending > fn.running && fn.pending > 1) return { mood: "busy", word: "backlog" };
  if (fn.running || fn.pending) return { mood: "good", word: "running" };
  return { mood: "calm", word: fn.observed ? "idle" : "at zero" };
}

export function FunctionState({ fn }: { fn: Fn }) {
  const { mood, word } = functionState(fn);
  return (
    <Pill mood={mood} title={fn.held_back || fn.reason}>
      {word}
    </Pill>
  );
}

const CALLS: Record<string, Mood> = { pending: "busy", running: "good", ended: "calm" };

/** Where a call is: waiting for its first container, running, or ended. */
export const phase = (call: Call): string =>
  call.state === "ended" ? "ended" : call.running || call.done ? "running" : "pending";

export function CallState({ state }: { state: string }) {
  return <Pill mood={CALLS[state] ?? "calm"}>{state === "pending" ? "waiting" : state}</Pill>;
}
