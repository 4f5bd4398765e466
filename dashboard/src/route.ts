// Which page is shown: it stands behind the # of the URL, so that the back button and links work. Must not know pages.
import { signal } from "@preact/signals";

export type Place = { path: string[]; query: URLSearchParams };

export const place = signal<Place>(read());

function read(): Place {
  const [path = "", query = ""] = location.hash.replace(/^#\/?/, "").split("?");
  return { path: path.split("/").filter(Boolean).map(decodeURIComponent), query: new URLSearchParams(query) };
}

window.addEventListener("hashchange", () => {
  const before = place.value.path.join("/");
  place.value = read();
  if (place.value.path.join("/") !== before) window.scrollTo(0, 0);
});

/** The address of a page. */
export function to(path: string[], query: Record<string, string> = {}): string {
  const given = Object.entries(query).filter(([, value]) => value);
  const tail = given.length ? `?${new URLSearchParams(given)}` : "";
  return `#/${path.map(encodeURIComponent).join("/")}${tail}`;
}
