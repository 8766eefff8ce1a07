import { clock, date } from "./text";

/** How many there were in each part of a time, and how many of these are of the marked kind. A bar leads to its time. */
export function Bars({ counts, marked, from, to, what, mark, open }: {
  counts: number[]; marked?: number[]; from: string; to: string; what: string; mark?: string; open: (begin: string, end: string) => void;
}) {
  const most = Math.max(1, ...counts), a = Date.parse(from), b = Date.parse(to), part = (b - a) / counts.length;
  const all = counts.reduce((x, y) => x + y, 0);
  return (
    <figure class="histogram" aria-label={`${all} ${what}`}>
      <div class="bars">{counts.map((n, i) => {
        const begin = a + i * part, end = begin + part, bad = marked?.[i] ?? 0;
        const label = `${n}${bad ? ` (${bad} ${mark})` : ""} from ${date(begin)} ${clock(begin)} to ${clock(end)}`;
        return <button key={i} type="button" class="bar" data-marked={bad > 0 || undefined} disabled={!n} tabindex={n ? 0 : -1} title={label} aria-label={label} onClick={() => open(new Date(begin).toISOString(), new Date(end).toISOString())}><span style={{ height: `${n ? Math.max(4, (n / most) * 100) : 0}%` }} /></button>;
      })}</div>
      <figcaption class="dim small"><span>{date(a)} {clock(a)}</span><span class="num">{all} {what}, at most {most} in a bar{marked?.some((n) => n > 0) && `, red where ${mark}`}</span><span>{date(b)} {clock(b)}</span></figcaption>
    </figure>
  );
}
