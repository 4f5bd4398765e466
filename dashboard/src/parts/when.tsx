// Times relative to now, exact on hover. Now is that of the server: clocks of browsers are off.
import { live } from "../live";
import { age, moment, roughly } from "../format";

export const now = (): number => live.value?.at ?? Date.now() / 1_000;

export function Ago({ at }: { at: number }) {
  const passed = now() - at;
  return (
    <time class="num" dateTime={new Date(at * 1_000).toISOString()} title={moment(at)}>
      {passed < 1 ? "now" : `${age(passed)} ago`}
    </time>
  );
}

export function Age({ since, rough }: { since: number; rough?: boolean }) {
  return (
    <time class="num" dateTime={new Date(since * 1_000).toISOString()} title={`since ${moment(since)}`}>
      {(rough ? roughly : age)(now() - since)}
    </time>
  );
}
