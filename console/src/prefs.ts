import { effect, signal } from "@preact/signals";

// How somebody likes it, in this browser. Nothing here is a secret.
function kept<T extends string>(key: string, def: T, all: readonly T[]) {
  let v: string | null = null;
  try { v = localStorage.getItem("sallyport." + key); } catch { /* it is not allowed to keep anything */ }
  const s = signal<T>(all.includes(v as T) ? (v as T) : def);
  effect(() => {
    const x = s.value;
    document.documentElement.dataset[key] = x;
    try { localStorage.setItem("sallyport." + key, x); } catch { /* it counts for this page */ }
  });
  return s;
}

export const theme = kept("theme", "system", ["system", "light", "dark"] as const);
export const density = kept("density", "default", ["compact", "default", "comfortable"] as const);
/** Keys of one letter, which some people's software types by itself. */
export const letters = kept("keys", "on", ["on", "off"] as const);

export const rowHeight = () => ({ compact: 24, default: 32, comfortable: 40 })[density.value];
