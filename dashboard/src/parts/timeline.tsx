// Where the time of something went, as a picture. Must not know what it is about.
import { span } from "../format";

export type Story = {
  title: string;
  state: string;
  events: { at: string; text: string }[];
  parts: { name: string; seconds: number }[];
};

export const seconds = (at: string): number => Date.parse(at) / 1_000;

export function Timeline({ story }: { story: Story }) {
  const total = story.parts.reduce((sum, part) => sum + part.seconds, 0);
  if (!total) return null;
  let before = 0;
  const names = [...new Set(story.parts.map((part) => part.name))];
  return (
    <figure class="card timeline" aria-label="Where the time went">
      <div class="bar" role="img" aria-label={story.parts.map((part) => `${part.name} ${span(part.seconds)}`).join(", ")}>
        {story.parts.map((part, i) => {
          const left = (before / total) * 100;
          before += part.seconds;
          const width = (part.seconds / total) * 100;
          return (
            <i
              key={i}
              class={`fill-${tone(part.name)}`}
              style={{ left: `${left}%`, width: `${width}%` }}
              title={`${part.name}: ${span(part.seconds)}`}
            />
          );
        })}
      </div>
      <div class="scale num muted" aria-hidden="true">
        <span>0</span>
        <span>{span(total / 2)}</span>
        <span>{span(total)}</span>
      </div>
      <ul class="legend parts">
        {names.map((name) => {
          const taken = story.parts.filter((part) => part.name === name).reduce((sum, part) => sum + part.seconds, 0);
          return (
            <li key={name}>
              <i class={`swatch fill-${tone(name)}`} /> {name} <b class="num">{span(taken)}</b>{" "}
              <span class="muted num">{Math.round((taken / total) * 100)} %</span>
            </li>
          );
        })}
      </ul>
    </figure>
  );
}

/** The colour of what an input did. */
export function tone(name: string): number {
  if (/^ran|was there/i.test(name)) return 1;
  if (/start/i.test(name)) return 2;
  if (/wait/i.test(name)) return 4;
  return 1;
}
