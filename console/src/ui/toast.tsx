import { signal } from "@preact/signals";
import { Icon } from "./icon";

interface Toast { id: number; text: string; kind: "ok" | "bad"; act?: { word: string; do: () => void } }

const toasts = signal<Toast[]>([]);
let last = 0;

/** say tells something in passing. It returns how to take it away. */
export function say(text: string, kind: "ok" | "bad" = "ok", act?: Toast["act"], life = kind === "bad" ? 8000 : 3000): () => void {
  const id = ++last;
  const away = () => { toasts.value = toasts.value.filter((t) => t.id !== id); };
  toasts.value = [...toasts.value.slice(-3), { id, text, kind, act }];
  setTimeout(away, life);
  return away;
}

export function Toasts() {
  return (
    <div class="toasts" role="status" aria-live="polite">
      {toasts.value.map((t) => (
        <div key={t.id} class="toast" data-kind={t.kind}>
          <Icon name={t.kind === "bad" ? "triangleAlert" : "check"} /><span>{t.text}</span>
          {t.act && <button type="button" onClick={t.act.do}>{t.act.word}</button>}
        </div>
      ))}
    </div>
  );
}
