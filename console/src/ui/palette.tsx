import { useMemo, useRef, useState } from "preact/hooks";
import { requests, sessions } from "../live";
import { me } from "../me";
import { placesOf } from "../nav";
import { found, resources } from "../resources";
import { go } from "../router";
import { Icon, type IconName } from "./icon";
import { Dialog } from "./parts";
import { visible } from "./text";

interface Entry { to: string; word: string; about: string; icon: IconName }

/** The command palette: every place, and what is in the lists. */
export function Palette({ close }: { close: () => void }) {
  const [text, setText] = useState("");
  const [at, setAt] = useState(0);
  const list = useRef<HTMLUListElement>(null);
  found();
  const all = useMemo<Entry[]>(() => [
    ...placesOf(me.value!).map((p) => ({ to: p.to, word: p.word, about: "page", icon: p.icon })),
    ...(resources.value ?? []).map((r) => ({ to: "/connections/" + encodeURIComponent(r.name), word: r.name, about: "connection, " + r.type, icon: "plug" as const })),
    ...[...(requests.value?.values() ?? [])].map((r) => ({ to: "/requests/" + r.id, word: r.id, about: `request of ${r.requester} for ${r.resource}, ${r.state}`, icon: "hand" as const })),
    ...[...(sessions.value?.values() ?? [])].map((s) => ({ to: "/sessions/" + s.id, word: s.id, about: `session of ${s.user} at ${s.resource}`, icon: "activity" as const })),
  ], [resources.value, requests.value, sessions.value]);
  const words = text.toLowerCase().split(/\s+/).filter(Boolean);
  const shown = all.filter((e) => words.every((w) => (e.word + " " + e.about).toLowerCase().includes(w))).slice(0, 50);
  const current = Math.min(at, shown.length - 1);
  const choose = (e?: Entry) => { if (e) { close(); go(e.to); } };
  const onKey = (e: KeyboardEvent) => {
    const by = e.key === "ArrowDown" ? 1 : e.key === "ArrowUp" ? -1 : 0;
    if (by) {
      e.preventDefault();
      const next = Math.max(0, Math.min(shown.length - 1, current + by));
      setAt(next);
      list.current?.children[next]?.scrollIntoView({ block: "nearest" });
    }
    if (e.key === "Enter") { e.preventDefault(); choose(shown[current]); }
  };
  return (
    <Dialog title="Go to" close={close}>
      <input class="palette" type="search" autofocus value={text} placeholder="A page, a connection, a request …" role="combobox" list={undefined} aria-label="Go to" aria-expanded="true"
        aria-controls="palette-list" aria-activedescendant={shown.length ? `p${current}` : undefined} onInput={(e) => { setText(e.currentTarget.value); setAt(0); }} onKeyDown={onKey} />
      <ul class="palette-list" id="palette-list" role="listbox" aria-label="Places" ref={list}>
        {shown.map((e, i) => (
          <li key={e.to} id={`p${i}`} role="option" aria-selected={i === current} onClick={() => choose(e)}>
            <Icon name={e.icon} /><bdi class="strong">{visible(e.word)}</bdi><span class="dim">{visible(e.about)}</span>
          </li>
        ))}
      </ul>
      {shown.length === 0 && <p class="dim pad" role="status">Nothing is called so.</p>}
    </Dialog>
  );
}
