import { visible } from "./ui/text";

/** Lines that went and that came. */
export function Diff({ before = "", after = "" }: { before?: string; after?: string }) {
  const a = before ? before.replace(/\n$/, "").split("\n") : [], b = after ? after.replace(/\n$/, "").split("\n") : [];
  const lcs: number[][] = Array.from({ length: a.length + 1 }, () => new Array(b.length + 1).fill(0));
  const large = a.length * b.length > 250_000;
  if (!large) for (let i = a.length - 1; i >= 0; i--) for (let j = b.length - 1; j >= 0; j--) lcs[i][j] = a[i] === b[j] ? lcs[i + 1][j + 1] + 1 : Math.max(lcs[i + 1][j], lcs[i][j + 1]);
  const lines: ["=" | "-" | "+", string][] = [];
  let i = 0, j = 0;
  while (i < a.length || j < b.length) {
    if (!large && i < a.length && j < b.length && a[i] === b[j]) { lines.push(["=", a[i]]); i++; j++; }
    else if (i < a.length && (large || j >= b.length || lcs[i + 1][j] >= lcs[i][j + 1])) lines.push(["-", a[i++]]);
    else lines.push(["+", b[j++]]);
  }
  return <div class="code"><pre tabindex={0} role="region" aria-label="Difference">{lines.map(([sign, text], n) => <div key={n} class={sign === "-" ? "gone" : sign === "+" ? "come" : ""}>{sign === "=" ? "  " : sign + " "}{visible(text)}</div>)}</pre></div>;
}
