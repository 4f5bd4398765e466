// The autoscaler's settings, as sliders: what the decorator says, what was changed since, and the way back.
import { useRef, useState } from "preact/hooks";
import { api, ask } from "../api";
import { live, type Fn, type Settings } from "../live";
import { exact, plural } from "../format";

type Name = keyof Settings;
type Knob = { name: Name; text: string; least: number; usual: number; most: number; normal: number; unit: string };

// `usual` is the end of the slider; the field beside it takes any number up to `most`. `normal` is the platform's default.
const KNOBS: Knob[] = [
  { name: "min_containers", text: "At least", least: 0, usual: 20, most: 1e6, normal: 0, unit: "containers" },
  { name: "max_containers", text: "At most", least: 1, usual: 50, most: 1e6, normal: 0, unit: "containers" },
  { name: "buffer_containers", text: "Spare while busy", least: 0, usual: 20, most: 1e6, normal: 0, unit: "containers" },
  { name: "scaledown_window", text: "Keep idle ones for", least: 2, usual: 600, most: 3_600, normal: 60, unit: "s" },
];
const SETTLE_MS = 250; // a slider that is being moved does not send every step

export function Autoscaler({ fn }: { fn: Fn }) {
  const [trouble, setTrouble] = useState("");
  const send = async (name: Name, value: number | null) => {
    try {
      await ask(api("apps", fn.app_id, "functions", fn.name, "autoscaler"), "PATCH", { [name]: value });
      setTrouble("");
    } catch (error) {
      setTrouble((error as Error).message);
    }
  };
  const changed = KNOBS.filter((knob) => isChanged(fn, knob));
  return (
    <section class="card autoscaler" aria-label="Autoscaler">
      <h3>Autoscaler</h3>
      {KNOBS.map((knob) => (
        <Slider key={knob.name} fn={fn} knob={knob} send={(value) => send(knob.name, value)} />
      ))}
      <p class="foot" aria-live="polite">
        {trouble ? (
          <span class="trouble">{trouble}</span>
        ) : changed.length ? (
          <span class="muted">{plural(changed.length, "setting")} changed, until the app is deployed again.</span>
        ) : (
          <span class="muted">As declared. What you change here holds until the app is deployed again.</span>
        )}
      </p>
    </section>
  );
}

const declared = (fn: Fn, knob: Knob): number => fn.autoscaler.static[knob.name] ?? knob.normal;
const inForce = (fn: Fn, knob: Knob): number => fn.settings[knob.name] ?? knob.normal;
const isChanged = (fn: Fn, knob: Knob): boolean => inForce(fn, knob) !== declared(fn, knob);

function say(knob: Knob, value: number): string {
  if (knob.name === "max_containers" && value === 0) return "no bound";
  return knob.unit === "s" ? `${exact(value)} s` : exact(value);
}

function Slider({ fn, knob, send }: { fn: Fn; knob: Knob; send: (value: number | null) => Promise<void> }) {
  // What the user is at goes before what the server last told, until it tells the same, or has had time to.
  const [draft, setDraft] = useState<{ value: number; until: number } | null>(null);
  const timer = useRef(0);
  const told = inForce(fn, knob);
  const isPending = draft !== null && draft.value !== told && (live.value?.at ?? 0) < draft.until;
  const value = isPending ? draft!.value : told;
  const isUnbound = knob.name === "max_containers" && value === 0;
  const end = Math.max(knob.usual, value, declared(fn, knob));
  const bounded = (wanted: number) => Math.min(knob.most, Math.max(knob.least, Math.round(wanted)));

  const change = (wanted: number | null) => {
    setDraft({ value: wanted ?? knob.normal, until: (live.value?.at ?? 0) + 3 });
    clearTimeout(timer.current);
    timer.current = window.setTimeout(() => void send(wanted), SETTLE_MS);
  };
  const read = (event: Event) => {
    const text = (event.currentTarget as HTMLInputElement).value;
    if (text !== "" && Number.isFinite(Number(text))) change(bounded(Number(text)));
  };
  const id = `knob-${knob.name}`;
  return (
    <div class={`knob ${isChanged(fn, knob) ? "changed" : ""}`}>
      <label for={id}>{knob.text}</label>
      <input
        id={id}
        type="range"
        name={knob.name}
        min={knob.least}
        max={end}
        value={isUnbound ? end : value}
        aria-valuetext={say(knob, value)}
        onInput={read}
      />
      <span class="exact">
        <input
          type="number"
          aria-label={`${knob.text}, exactly`}
          min={knob.least}
          max={knob.most}
          value={isUnbound ? "" : value}
          placeholder="any"
          onChange={read}
        />
        <span class="muted">{knob.unit === "s" ? "s" : ""}</span>
      </span>
      <span class="declared muted">
        declared: <span class="num">{say(knob, declared(fn, knob))}</span>
        {isChanged(fn, knob) && (
          <button type="button" class="quiet" onClick={() => change(fn.autoscaler.static[knob.name])} aria-label={`Reset ${knob.text}`}>
            Reset
          </button>
        )}
      </span>
    </div>
  );
}
