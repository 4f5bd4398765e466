// A line without axes: how a number went lately. The newest is at the right end.

const WIDTH = 120;
const HEIGHT = 28;

export function Sparkline({ values, length = 90, label }: { values: number[]; length?: number; label: string }) {
  const top = Math.max(1, ...values);
  const step = WIDTH / (length - 1);
  const start = WIDTH - (values.length - 1) * step;
  const at = (value: number, i: number) => `${(start + i * step).toFixed(1)} ${(HEIGHT - 2 - (value / top) * (HEIGHT - 5)).toFixed(1)}`;
  const line = values.length > 1 ? `M${values.map(at).join("L")}` : "";
  return (
    <svg class="spark" viewBox={`0 0 ${WIDTH} ${HEIGHT}`} preserveAspectRatio="none" role="img" aria-label={label}>
      {line && <path class="fill" d={`${line}V${HEIGHT}H${start.toFixed(1)}Z`} />}
      {line && <path class="line" d={line} vector-effect="non-scaling-stroke" />}
    </svg>
  );
}
