import { computed, signal } from "@preact/signals";
import { prefix } from "./base";

// Where the page is: the path inside the console, and the query. Everything that one would
// send somebody, or come back to, is there.
const here = () => ({ path: inside(location.pathname), query: new URLSearchParams(location.search) });

function inside(path: string): string {
  const p = path.startsWith(prefix) ? path.slice(prefix.length) : path;
  return p.startsWith("/") ? p : "/" + p;
}

const place = signal(here());
export const path = computed(() => place.value.path);
export const query = computed(() => place.value.query);

addEventListener("popstate", () => { place.value = here(); });

/** An address of the console, for links. */
export const href = (to: string) => prefix + to;

/** go moves to an address of the console. */
export function go(to: string, replace = false) {
  const url = href(to);
  if (url === location.pathname + location.search) return;
  history[replace ? "replaceState" : "pushState"](null, "", url);
  place.value = here();
  if (!replace) scrollTo(0, 0);
}

/** setQuery changes parts of the query, and adds nothing to the history. */
export function setQuery(changes: Record<string, string | null>) {
  const q = new URLSearchParams(location.search);
  for (const [k, v] of Object.entries(changes)) v ? q.set(k, v) : q.delete(k);
  const text = q.toString();
  go(path.value + (text ? "?" + text : ""), true);
}

/** match compares a path with a pattern such as /requests/:id. */
export function match(pattern: string, p: string): Record<string, string> | null {
  const want = pattern.split("/"), got = p.replace(/\/$/, "").split("/");
  if (pattern === "/") return p === "/" ? {} : null;
  if (want.length !== got.length) return null;
  const params: Record<string, string> = {};
  for (let i = 0; i < want.length; i++) {
    if (want[i].startsWith(":")) {
      try { params[want[i].slice(1)] = decodeURIComponent(got[i]); } catch { return null; }
    } else if (want[i] !== got[i]) return null;
  }
  return params;
}

// Links inside the console change the page without loading it anew.
document.addEventListener("click", (e) => {
  if (e.defaultPrevented || e.button !== 0 || e.metaKey || e.ctrlKey || e.shiftKey || e.altKey) return;
  const a = (e.target as Element | null)?.closest?.("a[data-in]") as HTMLAnchorElement | null;
  if (!a) return;
  e.preventDefault();
  go(inside(a.pathname) + a.search);
});
