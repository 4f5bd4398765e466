// Times relative to now, exact on hover. Now is that of the server: clocks of browsers are off.
import { live } from "../live";
import { age, moment, roughly } from "../format";

export const now = (): number => live.value?.at ?? Date.now() / 1_000;

/** How long something has lasted, roughly, as a value for rows that are drawn only when it changes. */
export const lasted = (since: number): string => roughly(now() - since);

/** How long ago something was, roughly. */
export function past(at: number): string {
  const passed = now() - at;
  return passed < 1 ? "now" : `${roughly(passed)} ago`;
}

export function Moment({ at, text }: { at: number; text: string }) {
  return (
    <time class="num" dateTime={new Date(at * 1_000).toISOString()} title={moment(at)}>
      {text}
    </time>
  );
}

export function Ago({ at }: { at: number }) {
  const passed = now() - at;
  return (
    <time class="num" dateTime={new Date(at * 1_000).toISOString()} title={moment(at)}>
      {passed < 1 ? "now" : `${age(passed)} ago`}
    </time>
  );
}

export function Age({ since }: { since: number }) {
  return (
    <time class="num" dateTime={new Date(since * 1_000).toISOString()} title={`since ${moment(since)}`}>
      {age(now() - since)}
    </time>
  );
}
