import { signal } from "@preact/signals";
import type { ComponentChildren } from "preact";
import { useState } from "preact/hooks";
import { now } from "../live";
import { href } from "../router";
import { Icon } from "./icon";
import { say } from "./toast";

/** A second hand for all that counts down. */
export const tick = signal(0);
setInterval(() => { if (!document.hidden) tick.value++; }, 1000);

const pad = (n: number) => String(n).padStart(2, "0");

export function clock(ms: number, seconds = false): string {
  const d = new Date(ms);
  return `${pad(d.getHours())}:${pad(d.getMinutes())}${seconds ? ":" + pad(d.getSeconds()) : ""}`;
}

export function date(ms: number): string {
  const d = new Date(ms);
  return `${d.getFullYear()}-${pad(d.getMonth() + 1)}-${pad(d.getDate())}`;
}

/** A length of time in its two greatest units. */
export function span(ms: number): string {
  const s = Math.max(0, Math.round(ms / 1000));
  const units: [number, string][] = [[86400, "d"], [3600, "h"], [60, "min"], [1, "s"]];
  for (let i = 0; i < units.length; i++) {
    const [n, word] = units[i];
    if (s < n && i < 3) continue;
    const rest = units[i + 1] ? Math.floor((s % n) / units[i + 1][0]) : 0;
    return `${Math.floor(s / n)} ${word}` + (rest ? ` ${rest} ${units[i + 1][1]}` : "");
  }
  return "0 s";
}

/** A time: absolute, with the day where it is another one, and relative in the tooltip. */
export function Time({ at, seconds }: { at: string | number | undefined; seconds?: boolean }) {
  const ms = typeof at === "number" ? at : Date.parse(at ?? "");
  if (!Number.isFinite(ms) || ms <= 0) return <span class="dim">–</span>;
  const ago = now() - ms;
  const words = date(ms) === date(now()) ? clock(ms, seconds) : `${date(ms)} ${clock(ms)}`;
  return <time class="num" dateTime={new Date(ms).toISOString()} title={`${date(ms)} ${clock(ms, true)}, ${ago >= 0 ? span(ago) + " ago" : "in " + span(-ago)}`}>{words}</time>;
}

/** What is left until a time, with a bar where it is known how long it was. */
export function Left({ until, from, word = "left" }: { until: string; from?: string; word?: string }) {
  tick.value;
  const end = Date.parse(until), left = end - now();
  const whole = from ? end - Date.parse(from) : 0;
  const share = whole > 0 ? Math.max(0, Math.min(1, left / whole)) : null;
  return (
    <span class="left" title={`until ${date(end)} ${clock(end, true)}`}>
      {share !== null && <span class="gauge" data-low={share < 0.15 || undefined} aria-hidden="true"><span style={{ width: `${share * 100}%` }} /></span>}
      <span class="num">{left > 0 ? (span(left) + " " + word).trim() : "over"}</span>
    </span>
  );
}

/** A link inside the console. */
export function A({ to, children, class: c, label, current }: { to: string; children: ComponentChildren; class?: string; label?: string; current?: boolean }) {
  return <a href={href(to)} data-in class={c} aria-label={label} aria-current={current ? "page" : undefined}>{children}</a>;
}

/** A button that copies a text. */
export function Copy({ text, label }: { text: string; label: string }) {
  const [done, set] = useState(false);
  const copy = async () => {
    try {
      await navigator.clipboard.writeText(text);
      set(true);
      setTimeout(() => set(false), 1500);
      say("Copied.");
    } catch {
      say("The browser does not let this page copy: select the text.", "bad");
    }
  };
  return <button type="button" class="quiet icon-only" onClick={copy} aria-label={label} title={label}><Icon name={done ? "check" : "copy"} /></button>;
}

/** A command or statement to read and to copy. */
export function Code({ text, label, wrap = true }: { text: string; label: string; wrap?: boolean }) {
  return (
    <div class="code">
      <pre tabindex={0} role="region" aria-label={label} data-wrap={wrap || undefined}><code>{visible(text)}</code></pre>
      <Copy text={text} label={`Copy: ${label}`} />
    </div>
  );
}

/** Signs that would not be seen, or would turn the text around, are shown by their numbers. */
export function visible(text: string): string {
  return text.replace(/[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff\ufff9-\uffff]|[\u{e0000}-\u{e007f}]/gu, (c) => `\u27e8U+${c.codePointAt(0)!.toString(16).toUpperCase().padStart(4, "0")}\u27e9`);
}

/** Somebody, or the agent and its human. */
export function Who({ subject, human }: { subject: string; human?: string }) {
  return <span class="who"><bdi>{visible(subject)}</bdi>{human && <span class="dim"> for <bdi>{visible(human)}</bdi></span>}</span>;
}

/** Where: resource, account and database. */
export function Where({ of }: { of: { resource: string; account?: string; database?: string } }) {
  return (
    <span class="where"><bdi>{visible(of.resource)}</bdi>
      {of.account && of.account !== "default" && <span class="dim"> as <bdi>{visible(of.account)}</bdi></span>}
      {of.database && <span class="dim"> / <bdi>{visible(of.database)}</bdi></span>}
    </span>
  );
}
