// Light or dark: as the system has it, until somebody chooses. Must not know colours.
import { signal } from "@preact/signals";

export type Theme = "light" | "dark";

const KEY = "swell-theme";
const system = matchMedia("(prefers-color-scheme: dark)");
const chosen = (): Theme | null => {
  const kept = localStorage.getItem(KEY);
  return kept === "light" || kept === "dark" ? kept : null;
};

export const theme = signal<Theme>("light");

function apply(): void {
  const wanted = chosen() ?? (system.matches ? "dark" : "light");
  document.documentElement.dataset.theme = wanted;
  theme.value = wanted;
}

export function toggleTheme(): void {
  const wanted: Theme = theme.value === "dark" ? "light" : "dark";
  // Back to what the system says is no choice: it may change by the hour.
  if (wanted === (system.matches ? "dark" : "light")) localStorage.removeItem(KEY);
  else localStorage.setItem(KEY, wanted);
  apply();
}

system.addEventListener("change", apply);
apply();
