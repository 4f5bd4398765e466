// Numbers over time, on a canvas. Keeps what it drew in step with its data, size and theme; must not know what it shows.
import { useEffect, useRef } from "preact/hooks";
import uPlot from "uplot";
import { theme } from "../theme";
import { clock } from "../format";

export type Series = {
  name: string;
  tone: number; // which of the colours --tone-1 … --tone-4
  dashed?: boolean;
  filled?: boolean;
  stepped?: boolean;
};

type Props = {
  title: string;
  note?: string;
  series: Series[];
  columns: (number | null)[][]; // times, then one for each series
  format: (value: number) => string;
  whole?: boolean; // counts: no ticks between whole numbers
  window: number; // seconds that are shown
};

const HEIGHT = 190;

export function Chart(props: Props) {
  const box = useRef<HTMLDivElement>(null);
  const plot = useRef<uPlot | null>(null);
  const shown = theme.value;
  const { columns, window: width } = props;

  useEffect(() => {
    const host = box.current!;
    const made = new uPlot(options(props, host.clientWidth), visible(columns, width) as uPlot.AlignedData, host);
    plot.current = made;
    const watch = new ResizeObserver(() => made.setSize({ width: host.clientWidth, height: HEIGHT }));
    watch.observe(host);
    return () => {
      watch.disconnect();
      made.destroy();
      plot.current = null;
    };
  }, [shown]);

  const length = columns[0]?.length ?? 0;
  const last = columns[0]?.[length - 1] ?? 0;
  useEffect(() => plot.current?.setData(visible(columns, width) as uPlot.AlignedData), [last, length, width]);

  return (
    <figure class="card chart" aria-label={`${props.title}: ${legend(props).join(", ")}`}>
      <figcaption>
        <h3>{props.title}</h3>
        {props.note && <span class="muted">{props.note}</span>}
        <ul class="legend">
          {props.series.map((series, i) => (
            <li key={series.name}>
              <i class={`swatch tone-${series.tone} ${series.dashed ? "dashed" : ""}`} />
              {series.name} <b class="num">{legend(props)[i]!.slice(series.name.length + 1)}</b>
            </li>
          ))}
        </ul>
      </figcaption>
      <div class="plot" ref={box} />
    </figure>
  );
}

function legend({ series, columns, format }: Props): string[] {
  return series.map((each, i) => {
    const value = (columns[i + 1] ?? []).at(-1);
    return `${each.name} ${value === null || value === undefined ? "–" : format(value)}`;
  });
}

function visible(columns: (number | null)[][], seconds: number): (number | null)[][] {
  const at = columns[0] ?? [];
  const from = (at.at(-1) ?? 0) - seconds;
  const first = at.findIndex((time) => time !== null && time >= from);
  return first <= 0 ? columns : columns.map((column) => column.slice(first));
}

function options(props: Props, width: number): uPlot.Options {
  const style = getComputedStyle(document.documentElement);
  const colour = (name: string) => style.getPropertyValue(name).trim();
  const font = `11px ${style.getPropertyValue("--font")}`;
  const grid = { stroke: colour("--line"), width: 1 };
  const axis = { stroke: colour("--muted"), font, grid, ticks: { show: false } };
  return {
    width: Math.max(width, 100),
    height: HEIGHT,
    padding: [8, 26, 0, 0],
    legend: { show: false },
    cursor: { points: { size: 6 }, drag: { x: false, y: false } },
    plugins: [tooltip(props)],
    scales: {
      x: { time: true },
      y: { range: (_plot, _low, high) => [0, !high || high < 0 ? 1 : high * 1.1] },
    },
    axes: [
      { ...axis, space: 70, values: (_plot, times) => times.map(clock), size: 28 },
      {
        ...axis,
        size: 52,
        space: 34,
        values: (_plot, values) => values.map((value) => props.format(value).replace(".0 ", " ")),
        ...(props.whole ? { incrs: [1, 2, 5, 10, 20, 50, 100, 200, 500, 1e3, 2e3, 5e3, 1e4, 2e4, 5e4, 1e5, 1e6] } : {}),
      },
    ],
    series: [
      {},
      ...props.series.map((series): uPlot.Series => {
        const stroke = colour(`--tone-${series.tone}`);
        const stepped = series.stepped && uPlot.paths.stepped ? { paths: uPlot.paths.stepped({ align: 1 }) } : {};
        return {
          stroke,
          width: 1.75,
          points: { show: true, size: 4, fill: stroke, filter: alone },
          spanGaps: false,
          ...stepped,
          ...(series.dashed ? { dash: [4, 4] } : {}),
          ...(series.filled ? { fill: `${stroke}26` } : {}),
        };
      }),
    ],
  };
}

/** The moments that no line leads to or from: without a dot, they would not be seen. */
function alone(plot: uPlot, series: number): number[] {
  const values = plot.data[series]!;
  const isGap = (i: number) => values[i] === null || values[i] === undefined;
  return [...values.keys()].filter((i) => !isGap(i) && isGap(i - 1) && isGap(i + 1));
}

/** Shows the numbers under the pointer. */
function tooltip(props: Props): uPlot.Plugin {
  const tip = document.createElement("div");
  tip.className = "tip";
  return {
    hooks: {
      init: (plot) => void plot.over.append(tip),
      setCursor: (plot) => {
        const { idx, left } = plot.cursor;
        tip.hidden = idx === null || idx === undefined || (left ?? -1) < 0;
        if (tip.hidden) return;
        const lines = props.series.map((series, i) => {
          const value = plot.data[i + 1]?.[idx!];
          return `${series.name}  ${value === null || value === undefined ? "–" : props.format(value)}`;
        });
        tip.textContent = [clock(plot.data[0]![idx!]!), ...lines].join("\n");
        const flips = left! > plot.over.clientWidth / 2;
        tip.style.left = flips ? "auto" : `${left! + 12}px`;
        tip.style.right = flips ? `${plot.over.clientWidth - left! + 12}px` : "auto";
      },
    },
  };
}
