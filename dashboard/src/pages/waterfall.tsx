// The inputs of a call, one below the other: when each waited and ran. Must not know how their stories come about.
import { useEffect, useState } from "preact/hooks";
import { api, ask } from "../api";
import { exact, span } from "../format";
import { seconds, tone, type Story } from "../parts/timeline";
import { now } from "../parts/when";

const SHOWN_MAX = 20; // inputs: each is asked for by itself
const EVERY_S = 2;

/** The stories of the first inputs of a call, told anew until the call has ended. */
export function useInputs(id: string, total: number, isOver: boolean): Story[] {
  const [told, setTold] = useState<Story[]>([]);
  const turn = isOver ? "over" : Math.floor(now() / EVERY_S);
  useEffect(() => {
    let left = false;
    const asked = Array.from({ length: Math.min(total, SHOWN_MAX) }, (_, i) =>
      ask<Story>(api("why", `in-${id.slice(3)}:${i}`)).catch(() => null),
    ); // what is no longer remembered is left out
    void Promise.all(asked).then((found) => !left && setTold(found.filter((story) => story !== null)));
    return () => {
      left = true;
    };
  }, [id, total, turn]);
  return told;
}

export function Waterfall({ inputs, total }: { inputs: Story[]; total: number }) {
  const rows = inputs.filter((story) => story.events.length > 0);
  if (rows.length < 2) return null;
  const began = Math.min(...rows.map((story) => seconds(story.events[0]!.at)));
  const length = (story: Story) => story.parts.reduce((sum, part) => sum + part.seconds, 0);
  const end = Math.max(...rows.map((story) => seconds(story.events[0]!.at) - began + length(story)), 1e-6);
  const names = [...new Set(rows.flatMap((story) => story.parts.map((part) => part.name)))];
  return (
    <figure class="card waterfall" aria-label="When each input waited and ran">
      <figcaption>
        <h3>Inputs</h3>
        <ul class="legend parts">
          {names.map((name) => (
            <li key={name}>
              <i class={`swatch fill-${tone(name)}`} /> {name}
            </li>
          ))}
        </ul>
      </figcaption>
      {rows.map((story, i) => {
        let at = seconds(story.events[0]!.at) - began;
        const number = /^input (\d+)/.exec(story.title)?.[1] ?? String(i);
        return (
          <div class="lane" key={number} title={story.parts.map((part) => `${part.name} ${span(part.seconds)}`).join(", ")}>
            <span class="num muted">{number}</span>
            <div>
              {story.parts.map((part, n) => {
                const left = (at / end) * 100;
                at += part.seconds;
                return (
                  <i
                    key={n}
                    class={`fill-${tone(part.name)}`}
                    style={{ left: `${left}%`, width: `${(part.seconds / end) * 100}%` }}
                  />
                );
              })}
            </div>
            <span class="num">{span(length(story))}</span>
          </div>
        );
      })}
      {total > SHOWN_MAX && <p class="muted">and {exact(total - SHOWN_MAX)} more</p>}
    </figure>
  );
}
