import type { ComponentChildren, CSSProperties } from "preact";
import { useEffect, useLayoutEffect, useMemo, useRef, useState } from "preact/hooks";
import { rowHeight } from "../prefs";
import { useKeys } from "./keys";

export interface Column<T> {
  head: string;
  /** The width in a grid: "1fr", "120px". */
  width: string;
  cell: (item: T) => ComponentChildren;
  /** Hidden where the page is narrow. */
  wide?: boolean;
  end?: boolean;
}

/**
 * A list of any length, of which the rows in sight are in the page. j and k move, Enter
 * opens, and other keys do what the page says.
 */
export function List<T>({ items, id, columns, label, open, actions, empty, more }: {
  items: T[]; id: (item: T) => string; columns: Column<T>[]; label: string; open?: (item: T) => void;
  actions?: Record<string, (item: T) => void>; empty: ComponentChildren; more?: () => void;
}) {
  const box = useRef<HTMLDivElement>(null);
  const [top, setTop] = useState(0);
  const [height, setHeight] = useState(600);
  const [chosen, setChosen] = useState<string | null>(null);
  const row = rowHeight();

  useLayoutEffect(() => {
    const el = box.current;
    if (!el) return;
    const seen = new ResizeObserver(() => setHeight(el.clientHeight));
    seen.observe(el);
    return () => seen.disconnect();
  }, [items.length === 0]);

  const first = Math.max(0, Math.floor(top / row) - 5);
  const last = Math.min(items.length, Math.ceil((top + height) / row) + 5);
  useEffect(() => { if (more && last >= items.length - 20) more(); }, [last, items.length]);

  // The row is chosen by what it is about: others come and go meanwhile. Keys come faster than the page is drawn, and go by what is
  // known now.
  const is = useRef({ chosen, items, open, actions });
  Object.assign(is.current, { items, open, actions });
  const place = (list: T[], what: string | null) => (what === null ? -1 : list.findIndex((x) => id(x) === what));
  const at = place(items, chosen);
  const choose = (item: T) => { is.current.chosen = id(item); setChosen(id(item)); };
  const move = (by: number) => {
    const { items } = is.current, at = place(items, is.current.chosen);
    const next = Math.max(0, Math.min(items.length - 1, at < 0 ? (by > 0 ? 0 : items.length - 1) : at + by));
    if (!items[next]) return;
    choose(items[next]);
    const el = box.current;
    if (!el) return;
    const y = next * row;
    if (y < el.scrollTop) el.scrollTop = y;
    else if (y + 2 * row > el.scrollTop + el.clientHeight) el.scrollTop = y + 2 * row - el.clientHeight;
    el.querySelector<HTMLElement>(".row[data-at]")?.scrollIntoView({ block: "nearest" });
  };
  const act = (which: (s: typeof is.current) => ((item: T) => void) | undefined) => () => {
    const s = is.current, f = which(s), item = s.items[place(s.items, s.chosen)];
    if (f && item) f(item);
  };
  const names = Object.keys(actions ?? {}).join("");
  useKeys(() => ({
    j: () => move(1), k: () => move(-1), o: act((s) => s.open),
    ...Object.fromEntries([...names].map((k) => [k, act((s) => s.actions?.[k])])),
  }), [names]);

  const template = useMemo(() => ({
    "--wide": columns.map((c) => c.width).join(" "), "--narrow": columns.filter((c) => !c.wide).map((c) => c.width).join(" "),
  }) as CSSProperties, [columns]);

  // A row that leaves the sight gives its elements to one that comes: making them anew takes most of the time of a frame. What is in sight keeps
  // its own, and the focus does not go on to another row with them.
  const places = useRef(new Map<string, number>());
  const visible = items.slice(first, last).map((item) => [id(item), item] as const);
  const next = new Map<string, number>(visible.map(([key]) => [key, places.current.get(key) ?? -1]));
  const free = [...places.current].filter(([key]) => !next.has(key)).map(([, place]) => place);
  let count = Math.max(-1, ...places.current.values()) + 1;
  for (const [key, place] of next) if (place < 0) next.set(key, free.shift() ?? count++);
  const focused = box.current?.querySelector<HTMLElement>(".row:focus-within")?.dataset.key;
  useLayoutEffect(() => {
    if (focused !== undefined && !next.has(focused)) box.current?.focus({ preventScroll: true });
    // What nobody took is not there any more, so that places are as many as rows.
    places.current = next;
  });

  if (items.length === 0) return <>{empty}</>;
  const onKey = (e: KeyboardEvent) => {
    if (e.key === "ArrowDown") { e.preventDefault(); move(1); }
    if (e.key === "ArrowUp") { e.preventDefault(); move(-1); }
    if (e.key === "Enter" && e.target === e.currentTarget) act((s) => s.open)();
  };
  return (
    <div class="list" role="table" aria-label={label} aria-rowcount={items.length + 1} style={template}>
      <div class="row head" role="row" aria-rowindex={1}>
        {columns.map((c) => <div key={c.head} role="columnheader" class={cell(c)}>{c.head}</div>)}
      </div>
      <div class="rows" ref={box} tabindex={0} role="rowgroup" aria-label={label} onKeyDown={onKey} onScroll={(e) => setTop(e.currentTarget.scrollTop)}>
        <div style={{ height: `${first * row}px` }} role="presentation" />
        {visible.map(([key, item], i) => (
          <div key={next.get(key)} data-key={key} class="row" role="row" aria-rowindex={first + i + 2} data-at={first + i === at || undefined} aria-current={first + i === at || undefined}
            onClick={(e) => { choose(item); if (open && !(e.target as Element).closest("a,button,input")) open(item); }}>
            {columns.map((c) => <div key={c.head} role="cell" class={cell(c)}>{c.cell(item)}</div>)}
          </div>
        ))}
        <div style={{ height: `${(items.length - last) * row}px` }} role="presentation" />
      </div>
    </div>
  );
}

const cell = (c: { wide?: boolean; end?: boolean }) => "cell" + (c.wide ? " wide" : "") + (c.end ? " end" : "");
