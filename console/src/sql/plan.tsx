import { visible } from "../ui/text";

interface Node { "Node Type": string; "Relation Name"?: string; "Index Name"?: string; Alias?: string; "Total Cost": number; "Plan Rows": number; "Actual Rows"?: number; "Actual Total Time"?: number; Filter?: string; "Index Cond"?: string; "Hash Cond"?: string; "Join Filter"?: string; Plans?: Node[] }

/** plan reads what EXPLAIN (FORMAT JSON) answers; null: it is something else. */
export function plan(text: string): Node | null {
  try { return JSON.parse(text)[0].Plan ?? null; } catch { return null; }
}

/** A plan as a tree. The bar is a step's own share of the whole cost. */
export function Plan({ of: root }: { of: Node }) {
  return <ul class="plan" role="tree" aria-label="Plan"><Step of={root} whole={root["Total Cost"] || 1} level={1} /></ul>;
}

function Step({ of: n, whole, level }: { of: Node; whole: number; level: number }) {
  const own = Math.max(0, n["Total Cost"] - (n.Plans ?? []).reduce((a, p) => a + p["Total Cost"], 0)) / whole;
  const cond = n["Index Cond"] ?? n["Hash Cond"] ?? n["Join Filter"] ?? n.Filter;
  return (
    <li role="treeitem" aria-level={level} aria-expanded={n.Plans ? true : undefined}>
      <div class="step" data-hot={own > 0.4 || undefined}>
        <span class="gauge" aria-hidden="true"><span style={{ width: `${Math.round(own * 100)}%` }} /></span>
        <span class="num dim">{Math.round(own * 100)} %</span>
        <span class="strong">{n["Node Type"]}</span>
        {n["Relation Name"] && <code>{visible(n["Relation Name"])}</code>}{n["Index Name"] && <span class="dim">by <code>{visible(n["Index Name"])}</code></span>}
        <span class="dim num">{n["Plan Rows"].toLocaleString("en")} rows · cost {n["Total Cost"].toLocaleString("en")}{n["Actual Total Time"] !== undefined && ` · ${n["Actual Total Time"]} ms, ${n["Actual Rows"]} rows`}</span>
      </div>
      {cond && <p class="small dim"><code>{visible(cond)}</code></p>}
      {n.Plans && <ul role="group">{n.Plans.map((p, i) => <Step key={i} of={p} whole={whole} level={level + 1} />)}</ul>}
    </li>
  );
}
