// What long lists have in common: a filter above, and "and 400 more" below. Must not know what is listed.
import type { Signal } from "@preact/signals";
import { exact } from "../format";

export function Filter({ value, placeholder }: { value: Signal<string>; placeholder: string }) {
  return (
    <input
      class="filter"
      type="search"
      placeholder={placeholder}
      aria-label={`Filter: ${placeholder}`}
      value={value.value}
      onInput={(event) => (value.value = event.currentTarget.value)}
    />
  );
}

export function More({ hidden, onMore }: { hidden: number; onMore: () => void }) {
  if (hidden <= 0) return null;
  return (
    <p class="more">
      <button type="button" class="quiet" onClick={onMore}>
        and {exact(hidden)} more
      </button>
    </p>
  );
}
