import { useLayoutEffect } from "preact/hooks";
import { letters } from "../prefs";

// Keys that do something on the page that is shown. The one that was added last counts.
type Map = Record<string, () => void>;
const layers: Map[] = [];

/** useKeys adds keys, again when something of on changes. They count as soon as what they belong to is shown: people type faster than effects run. */
export function useKeys(make: () => Map | null, on: unknown[]) {
  useLayoutEffect(() => {
    const map = make();
    if (!map) return;
    layers.push(map);
    return () => { const i = layers.indexOf(map); if (i >= 0) layers.splice(i, 1); };
  }, on);
}

let leader = 0;

document.addEventListener("keydown", (e) => {
  if (e.defaultPrevented || e.isComposing) return;
  const plain = !e.metaKey && !e.ctrlKey && !e.altKey;
  const el = e.target as HTMLElement;
  const typing = el.isContentEditable || /^(INPUT|TEXTAREA|SELECT)$/.test(el.tagName);
  let key = (e.metaKey || e.ctrlKey ? "mod+" : "") + (e.key.length === 1 ? e.key.toLowerCase() : e.key);
  if (key === "?" && e.shiftKey) key = "?";
  if (plain && typing) return; // a dialog closes by itself
  if (plain && key.length === 1 && letters.value === "off") return;
  if (key === "Enter" && el.closest("a, button, summary, label")) return; // which it presses
  if (document.querySelector("dialog[open]") && key !== "mod+k") return;
  if (plain && key === "g" && !e.repeat) { leader = Date.now(); return; }
  if (plain && Date.now() - leader < 1200 && key.length === 1) key = "g " + key;
  leader = 0;
  for (let i = layers.length - 1; i >= 0; i--) {
    const f = layers[i][key];
    if (f) { e.preventDefault(); f(); return; }
  }
});
