import { Refusal, at, lost as loggedOut, sentence } from "../api";
import { api } from "../base";

/** A part of a recording: one of out, in and a size. */
export interface Piece { at: number; out?: string; in?: string; width?: number; height?: number }
export interface Head { op: number; stream: string; term?: string; width?: number; height?: number }

/** How much of a recording a page keeps, in characters. */
const most = 128 << 20;

/** lines reads an answer line by line. It returns false when the answer was cut off. */
async function lines(path: string, signal: AbortSignal, each: (line: any) => void): Promise<void> {
  const r = await fetch(api + path, { credentials: "same-origin", cache: "no-store", redirect: "error", signal });
  if (!r.ok) {
    const e = (await r.json().catch(() => ({})))?.error ?? {};
    if (r.status === 401) loggedOut.tell();
    throw new Refusal(r.status, String(e.code ?? r.status), sentence(String(e.message ?? `The gateway refused this (HTTP ${r.status}).`)));
  }
  const reader = r.body!.pipeThrough(new TextDecoderStream()).getReader();
  for (let rest = ""; ;) {
    const { value, done } = await reader.read();
    if (done) return;
    rest += value;
    const parts = rest.split("\n");
    rest = parts.pop()!;
    for (const line of parts) if (line) each(JSON.parse(line));
  }
}

/** load reads the recording of an operation; progress is told of the pieces that have come. */
export async function load(id: string, op: string, signal: AbortSignal, progress: (head: Head, pieces: Piece[], whole: boolean) => void) {
  let head: Head | null = null, size = 0, told = 0, whole = false;
  const pieces: Piece[] = [];
  const stop = new AbortController();
  signal.addEventListener("abort", () => stop.abort());
  let full = false;
  try {
    await lines(at`/v1/recordings/${id}/shown` + (op ? "?op=" + encodeURIComponent(op) : ""), stop.signal, (line) => {
      if (!head) { head = line; return; }
      if (line.end) { pieces.push({ at: line.at }); whole = true; return; }
      size += (line.out?.length ?? 0) + 32;
      pieces.push(line);
      if (size > most) { full = true; stop.abort(); }
      if (performance.now() - told > 200) { told = performance.now(); progress(head, pieces, false); }
    });
  } catch (e) {
    if (!full) throw e;
  }
  if (head) progress(head, pieces, true);
  if (!whole && !full) throw new Refusal(0, "cut", "The recording was cut off on its way. Load the page again.");
  if (full) throw new Refusal(0, "large", "This recording is too large for a page: its beginning is shown. Download it for the rest.");
}

/** An event of a session's record, as far as it is shown. */
export interface Event { type: string; t: string; op?: number; stream?: string; data?: string; base64?: string; width?: number; height?: number; kind?: string; text?: string; verdict?: string; reason?: string; error?: string }

/** watch reads the record of an open session as it is written. */
export const watch = (id: string, signal: AbortSignal, each: (e: Event) => void) => lines(at`/v1/sessions/${id}/watch`, signal, each);

/** What an event of output shows. */
export function content(e: Event): Uint8Array {
  const text = new TextEncoder().encode(e.data ?? "");
  if (!e.base64) return text;
  const raw = Uint8Array.from(atob(e.base64), (c) => c.charCodeAt(0));
  const all = new Uint8Array(text.length + raw.length);
  all.set(text);
  all.set(raw, text.length);
  return all;
}
