import { useEffect, useLayoutEffect, useMemo, useRef, useState } from "preact/hooks";
import { Icon } from "../ui/icon";
import { Dialog } from "../ui/parts";
import { A, Code, visible } from "../ui/text";
import { bytes } from "./bytes";
import type { Cell, Masked, Result } from "./desk";

const height = 24;
const numeric = /^(int|float|numeric|money|oid|smallint|bigint|decimal|double)/;
const short = (c: Cell) => (c === null ? "" : typeof c === "string" ? c : c[0]);
const one = (s: string) => visible(s.length > 300 ? s.slice(0, 300) + "…" : s).replace(/\s+/g, " ");

/** Rows of a result, of which those that are seen are drawn. */
export function Grid({ of: r, turn, columns: masked, resource }: { of: Result; turn: number; columns: Masked[]; resource: string }) {
  const box = useRef<HTMLDivElement>(null);
  const [top, setTop] = useState(0);
  const [seen, setSeen] = useState(400);
  const [at, setAt] = useState<[number, number]>([-1, 0]);
  const [looking, setLooking] = useState<{ x: number; cell: Cell } | null>(null);
  const look = (y: number, x: number) => { const row = r.rows.at(y); if (row) setLooking({ x, cell: row[x] }); };
  const [why, setWhy] = useState<Masked | null>(null);
  useLayoutEffect(() => {
    const el = box.current!;
    const watch = new ResizeObserver(() => setSeen(el.clientHeight));
    watch.observe(el);
    return () => watch.disconnect();
  }, []);
  useEffect(() => { setTop(0); setAt([-1, 0]); if (box.current) box.current.scrollTop = 0; }, [r]);
  // Widths are those of the first rows, so that nothing moves while more come.
  const ready = r.rows.length > 0;
  const hidden = new Map(masked.map((m) => [m.name, m]));
  const widths = useMemo(() => r.columns.map((c, i) => {
    let n = c.name.length + c.type.length * 0.8 + 4 + (hidden.has(c.name) ? 11 : 0);
    for (const row of r.rows.first.slice(0, 60)) n = Math.max(n, Math.min(44, short(row[i]).length + 2));
    return Math.round(Math.max(64, n * 7.4));
  }), [r, ready, masked]);
  const whole = widths.reduce((a, b) => a + b, 56);
  const first = Math.max(0, Math.floor(top / height) - 8), last = Math.min(r.rows.length, Math.ceil((top + seen) / height) + 8);
  void turn;
  const move = (rows: number, cells: number) => {
    const y = Math.max(0, Math.min(r.rows.length - 1, at[0] + rows)), x = Math.max(0, Math.min(r.columns.length - 1, at[1] + cells));
    setAt([y, x]);
    const el = box.current!;
    if (y * height < el.scrollTop) el.scrollTop = y * height;
    else if ((y + 2) * height > el.scrollTop + el.clientHeight) el.scrollTop = (y + 2) * height - el.clientHeight;
    const left = widths.slice(0, x).reduce((a, b) => a + b, 56);
    if (left - 56 < el.scrollLeft) el.scrollLeft = left - 56;
    else if (left + widths[x] > el.scrollLeft + el.clientWidth) el.scrollLeft = left + widths[x] - el.clientWidth;
  };
  const onKey = (e: KeyboardEvent) => {
    const page = Math.max(1, Math.floor(seen / height) - 2);
    const moves: Record<string, [number, number]> = { ArrowDown: [1, 0], ArrowUp: [-1, 0], ArrowRight: [0, 1], ArrowLeft: [0, -1], PageDown: [page, 0], PageUp: [-page, 0], Home: [-1e9, 0], End: [1e9, 0] };
    if (moves[e.key]) { e.preventDefault(); move(...moves[e.key]); }
    if (e.key === "Enter" && at[0] >= 0) { e.preventDefault(); look(...at); }
  };
  return (
    <>
      <div class="grid" ref={box} tabindex={0} role="grid" aria-label="Rows" aria-rowcount={r.rows.length + 1} aria-colcount={r.columns.length + 1} onKeyDown={onKey} onScroll={(e) => setTop(e.currentTarget.scrollTop)}>
        <div class="grid-row grid-head" role="row" aria-rowindex={1} style={{ width: `${whole}px` }}>
          <span role="columnheader" class="grid-number" style={{ width: "56px" }}><span class="away">Row</span></span>
          {r.columns.map((c, i) => {
            const m = hidden.get(c.name);
            return (
              <span key={i} role="columnheader" class="grid-cell" style={{ width: `${widths[i]}px` }} title={`${c.name}: ${c.type}`}>
                <span class="strong cut">{visible(c.name)}</span> <span class="dim">{c.type}</span>
                {m && <button type="button" class="why" onClick={() => setWhy(m)} aria-label={`Why is ${c.name} masked?`} title="Why is this masked?"><Icon name="eye" size={12} />masked</button>}
              </span>
            );
          })}
        </div>
        <div style={{ height: `${first * height}px` }} role="presentation" />
        {Array.from({ length: last - first }, (_, j) => {
          const y = first + j, row = r.rows.at(y);
          return (
            <div key={y} class="grid-row" role="row" aria-rowindex={y + 2} aria-busy={!row || undefined} style={{ width: `${whole}px` }} data-at={y === at[0] || undefined}>
              <span role="rowheader" class="grid-number" style={{ width: "56px" }}>{(y + 1).toLocaleString("en")}</span>
              {row?.map((c, x) => (
                <span key={x} role="gridcell" aria-selected={y === at[0] && x === at[1]} style={{ width: `${widths[x]}px` }}
                  class={"grid-cell" + (c === null ? " null" : "") + (numeric.test(r.columns[x].type) ? " end" : "") + (hidden.has(r.columns[x].name) ? " masked" : "")}
                  onClick={() => { setAt([y, x]); box.current?.focus({ preventScroll: true }); }} onDblClick={() => look(y, x)}>
                  {c === null ? "NULL" : typeof c === "string" ? one(c) : <>{one(c[0])} <span class="dim">{bytes(c[1])}</span></>}
                </span>
              ))}
            </div>
          );
        })}
        <div style={{ height: `${(r.rows.length - last) * height}px` }} role="presentation" />
      </div>
      {looking && <Inspect name={r.columns[looking.x].name} type={r.columns[looking.x].type} of={looking.cell} why={hidden.get(r.columns[looking.x].name)} close={() => { setLooking(null); box.current?.focus(); }} />}
      {why && <Why of={why} resource={resource} close={() => setWhy(null)} />}
    </>
  );
}

/** One value, as it is. */
function Inspect({ name, type, of: c, why, close }: { name: string; type: string; of: Cell; why?: Masked; close: () => void }) {
  let text = short(c);
  if (/^jsonb?$/.test(type) && typeof c === "string") { try { text = JSON.stringify(JSON.parse(text), null, 2); } catch { /* it is shown as it came */ } }
  return (
    <Dialog title={`${visible(name)}: ${type}`} close={close} wide>
      <div class="stack">
        {why && <p class="masked"><Icon name="eye" size={14} /> {visible(why.why)}</p>}
        {c === null ? <p class="dim">NULL</p> : <Code text={text} label="Value" />}
        {Array.isArray(c) && <p class="dim">This is the beginning: the value has {bytes(c[1])}, and {bytes(c[0].length)} of it came.</p>}
      </div>
    </Dialog>
  );
}

function Why({ of: m, resource, close }: { of: Masked; resource: string; close: () => void }) {
  return (
    <Dialog title={`Why is ${visible(m.name)} masked?`} close={close}>
      <div class="stack">
        <p>{visible(m.why)}.</p>
        {m.class && <p class="dim">Its values are taken to be <code>{m.class}</code>. The browser was never sent them.</p>}
        <div class="buttons"><A to={`/connections/${encodeURIComponent(resource)}?ask=1`} class="button"><Icon name="send" />Ask for access</A><button type="button" class="quiet" onClick={close}>Close</button></div>
      </div>
    </Dialog>
  );
}
