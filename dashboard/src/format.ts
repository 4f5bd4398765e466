// Numbers and times as people read them. Must not know what they are of.

const whole = new Intl.NumberFormat("en");
const brief = new Intl.NumberFormat("en", { notation: "compact", maximumFractionDigits: 1 });

/** A count: exact up to four digits, then 12.3K. */
export const count = (value: number): string => (value < 10_000 ? whole.format(value) : brief.format(value));
export const exact = (value: number): string => whole.format(value);

export function rate(value: number): string {
  if (value === 0) return "0/s";
  return `${value < 10 ? value.toFixed(1) : count(Math.round(value))}/s`;
}

/** A length of time, in two or three digits. */
export function span(seconds: number | null | undefined): string {
  if (seconds === null || seconds === undefined) return "–";
  if (seconds === 0) return "0 s";
  if (seconds < 0.001) return `${Math.max(0, Math.round(seconds * 1e6))} µs`;
  if (seconds < 1) return `${digits(seconds * 1_000)} ms`;
  if (seconds < 60) return `${digits(seconds)} s`;
  return age(seconds);
}

const digits = (value: number): string => (value < 10 ? value.toFixed(1) : Math.round(value).toString());

/** How long ago, in its largest unit: for lists. */
export function roughly(seconds: number): string {
  const s = Math.max(0, Math.floor(seconds));
  if (s < 60) return `${s} s`;
  if (s < 3_600) return `${Math.floor(s / 60)} min`;
  return s < 86_400 ? `${Math.floor(s / 3_600)} h` : `${Math.floor(s / 86_400)} d`;
}

/** How long ago, in whole units. */
export function age(seconds: number): string {
  const s = Math.max(0, Math.floor(seconds));
  if (s < 60) return `${s} s`;
  if (s < 3_600) return `${Math.floor(s / 60)} min ${s % 60 ? `${s % 60} s` : ""}`.trim();
  if (s < 86_400) return `${Math.floor(s / 3_600)} h ${Math.floor((s % 3_600) / 60)} min`;
  return `${Math.floor(s / 86_400)} d ${Math.floor((s % 86_400) / 3_600)} h`;
}

export function bytes(value: number): string {
  const gib = value / 2 ** 30;
  if (gib >= 1 || value === 0) return `${gib < 10 ? +gib.toFixed(1) : Math.round(gib)} GiB`;
  return value >= 2 ** 20 ? `${Math.round(value / 2 ** 20)} MiB` : `${Math.ceil(value / 2 ** 10)} KiB`;
}

export const cores = (value: number): string => (+value.toFixed(value < 10 ? 1 : 0)).toString();

/** A time in full, for who wants to know exactly. */
export function moment(at: number): string {
  const date = new Date(at * 1_000);
  const two = (n: number, length = 2) => String(n).padStart(length, "0");
  const day = `${date.getFullYear()}-${two(date.getMonth() + 1)}-${two(date.getDate())}`;
  return `${day} ${clock(at)}.${two(date.getMilliseconds(), 3)}`;
}

export function clock(at: number): string {
  const date = new Date(at * 1_000);
  return [date.getHours(), date.getMinutes(), date.getSeconds()].map((n) => String(n).padStart(2, "0")).join(":");
}

export const plural = (n: number, one: string, many = `${one}s`): string => `${exact(n)} ${n === 1 ? one : many}`;
