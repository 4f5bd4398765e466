// How much of something is used: in words, and as a bar. Must not know of what.

export function Meter(props: { name: string; used: number; all: number; say: (n: number) => string; unit?: string }) {
  const share = props.all ? props.used / props.all : 0;
  const text = `${props.say(props.used)} of ${props.say(props.all)}${props.unit ? ` ${props.unit}` : ""}`;
  return (
    <div class="meter">
      <span>{props.name}</span>
      <span class="num muted">{text}</span>
      <div
        class="track"
        role="meter"
        aria-label={props.name}
        aria-valuemin={0}
        aria-valuemax={props.all}
        aria-valuenow={props.used}
        aria-valuetext={text}
      >
        <i class={share > 0.9 ? "full" : ""} style={{ width: `${Math.min(100, share * 100)}%` }} />
      </div>
    </div>
  );
}
