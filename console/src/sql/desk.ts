import { signal } from "@preact/signals";
import { at, lost as loggedOut } from "../api";
import { Rows } from "./rows";
import { socketURL, type Held, type SessionInfo } from "../term/socket";

export type Cell = string | null | [string, number];
export interface Column { name: string; type: string }
export interface Masked { name: string; class?: string; why: string }
export interface Notice { severity: string; code?: string; message: string; detail?: string; hint?: string; position?: number }
export interface Result { columns: Column[]; rows: Rows; tag: string; count: number; done: boolean }
/** A file of rows, which the gateway has written. */
export interface Saved { name: string; parts: Blob[]; bytes: number; rows: number; cut: boolean; short: number; sha256: string; url: string }
export type Kind = "csv" | "json";
export interface Run {
  number: number; text: string; from: number; state: "running" | "paused" | "held" | "done" | "failed" | "cancelled"; began: number; micros: number;
  results: Result[]; notices: Notice[]; failure: Notice | null; held: Held | null; masked: Map<string, number>; columns: Masked[]; plan: boolean; save: Kind | null; files: Saved[];
}
export interface Relation { schema: string; name: string; kind: string }
export interface RelationColumn { name: string; type: string; not_null?: boolean; key?: boolean }
export type State = "opening" | "open" | "ended";

/** How many rows come before somebody asks for more. */
export const portion = 1000;

/** A session at a database. It ends with its page, and a transaction that is open with it. */
export class Desk {
  readonly state = signal<State>("opening");
  readonly info = signal<SessionInfo | null>(null);
  readonly held = signal<Held | null>(null); // connecting
  readonly reason = signal("");
  readonly transaction = signal<"idle" | "open" | "failed">("idle");
  readonly run = signal<Run | null>(null);
  readonly history = signal<Run[]>([]);
  /** Whether a text runs, or is about to. */
  readonly running = signal(false);
  /** Whether the session is used, for a text or for the tree. */
  readonly busy = signal(false);
  /** Goes up with every change of the run. */
  readonly turn = signal(0);
  readonly relations = signal<Relation[] | null>(null);
  readonly treeProblem = signal("");
  readonly columns = signal<Map<string, RelationColumn[]>>(new Map());
  private socket: WebSocket | null = null;
  private number = 0;
  private received = 0;
  private wanted: (() => void)[] = [];
  private drawing = 0;
  private later = 0;

  constructor(readonly resource: string, readonly account: string, readonly database: string) { this.connect(); }

  private connect() {
    const s = new WebSocket(socketURL(at`/v1/resources/${this.resource}/database`));
    this.socket = s;
    s.onopen = () => this.send({ type: "open", account: this.account || undefined, database: this.database || undefined });
    s.onmessage = (e) => { if (this.socket !== s) return; if (typeof e.data === "string") this.told(JSON.parse(e.data), e.data.length, e.data); else this.part(e.data); };
    s.onclose = (e) => {
      if (this.socket !== s) return;
      this.socket = null;
      if (this.state.value !== "ended") this.end(e.code === 4001 ? "your login has ended" : e.reason || "the connection to the gateway was lost");
      if (e.code === 4001) loggedOut.tell();
    };
  }

  private send(v: object) { if (this.socket?.readyState === WebSocket.OPEN) this.socket.send(JSON.stringify(v)); }

  private end(reason: string) {
    this.reason.value = reason;
    this.state.value = "ended";
    this.busy.value = this.running.value = false;
    this.wanted = [];
    const r = this.run.value;
    if (r && (r.state === "running" || r.state === "paused" || r.state === "held")) r.state = "failed";
    this.change();
  }

  private rows() { return new Rows(() => this.change()); }

  private change() {
    if (this.drawing) return;
    this.drawing = requestAnimationFrame(() => { this.drawing = 0; this.turn.value++; });
  }

  /** part takes a piece of the file that is being saved. The browser may keep it elsewhere than in memory. */
  private part(b: Blob) {
    const r = this.run.value, file = r?.files[r.files.length - 1];
    if (file && !file.url) { file.parts.push(b); file.bytes += b.size; }
    this.received += b.size;
    this.send({ type: "ack", received: this.received });
    this.change();
  }

  private told(f: any, length: number, text: string) {
    const r = this.run.value?.number === f.run ? this.run.value : null;
    switch (f.type) {
      case "session": this.info.value = f; this.held.value = null; break;
      case "held":
        if (!f.run) { this.held.value = f; break; }
        if (r) { r.held = f; r.state = "held"; }
        break;
      case "result": r?.results.push({ columns: f.columns, rows: this.rows(), tag: "", count: 0, done: false }); if (r) { r.state = "running"; r.held = null; if (f.file) r.files.push({ name: f.file, parts: [], bytes: 0, rows: 0, cut: false, short: 0, sha256: "", url: "" }); } break;
      case "rows": {
        const result = r?.results[r.results.length - 1];
        if (result) for (const row of f.rows) result.rows.push(row);
        // The length in bytes, of which the gateway sends no more than are acknowledged.
        this.received += /^[\x00-\x7f]*$/.test(text) ? length : new TextEncoder().encode(text).length;
        this.send({ type: "ack", received: this.received });
        // Drawing takes longer than taking rows: it waits for others.
        this.later ||= setTimeout(() => { this.later = 0; this.change(); }, 100);
        return;
      }
      case "paused": if (r) r.state = "paused"; break;
      case "end": {
        if (!r) break;
        let result = r.results[r.results.length - 1];
        if (!result || result.done) { result = { columns: [], rows: this.rows(), tag: "", count: 0, done: false }; r.results.push(result); }
        result.tag = f.tag ?? "";
        result.count = f.rows;
        result.done = true;
        if (f.sha256) this.whole(r.files[r.files.length - 1], r.save!, f);
        else if (f.cut) r.state = "cancelled";
        r.held = null;
        break;
      }
      case "failed": if (r) { r.failure = f; r.held = null; r.state = f.code === "57014" ? "cancelled" : "failed"; } else if (!f.run) this.reason.value = f.message; break;
      case "notice": (r ?? this.run.value)?.notices.push(f); break;
      case "masking": if (r) r.columns = f.columns; break;
      case "masked": if (r) r.masked.set(f.class, (r.masked.get(f.class) ?? 0) + f.count); break;
      case "done":
        this.transaction.value = f.transaction;
        if (!f.run) { this.state.value = "open"; this.look(); }
        if (f.run) this.running.value = false;
        if (r) { r.micros = f.us; if (r.state !== "failed" && r.state !== "cancelled") r.state = "done"; }
        this.idle();
        break;
      case "relations": this.relations.value = f.relations ?? []; this.treeProblem.value = f.error ?? ""; this.idle(); break;
      case "columns": this.columns.value = new Map(this.columns.value).set(f.schema + "\u0000" + f.relation, f.columns ?? []); this.idle(); break;
      case "ended": this.end(f.reason ?? this.reason.value); break;
    }
    this.change();
  }

  /** whole has the browser save a file that has come to its end. */
  private whole(file: Saved | undefined, kind: Kind, f: any) {
    if (!file || file.bytes !== f.bytes) return;
    Object.assign(file, { rows: f.rows, cut: !!f.cut, short: f.short ?? 0, sha256: f.sha256 });
    file.url = URL.createObjectURL(new Blob(file.parts, { type: kind === "csv" ? "text/csv" : "application/json" }));
    file.parts = [];
    const a = document.createElement("a");
    a.href = file.url;
    a.download = file.name;
    a.click();
  }

  private idle() {
    this.busy.value = false;
    this.wanted.shift()?.();
  }

  /** when does something when nothing runs. */
  private when(f: () => void) {
    if (this.state.value !== "open") return;
    const start = () => { this.busy.value = true; f(); };
    if (this.busy.value) this.wanted.push(start); else start();
  }

  /** look asks for the tree again. */
  look() { this.when(() => this.send({ type: "relations" })); }

  /** lookAt asks for the columns of a relation, once. */
  lookAt(schema: string, relation: string) {
    const key = schema + "\u0000" + relation;
    if (this.columns.value.has(key) || this.asked.has(key)) return;
    this.asked.add(key);
    this.when(() => this.send({ type: "columns", schema, relation }));
  }
  private asked = new Set<string>();

  /** execute runs a text; from is where it is in the editor. */
  execute(text: string, from: number, plan = false, save: Kind | null = null) {
    if (this.running.value || this.state.value !== "open" || !text.trim()) return;
    this.running.value = true;
    const run: Run = {
      number: ++this.number, text, from, state: "running", began: Date.now(), micros: 0, results: [], notices: [], failure: null, held: null, masked: new Map(), columns: [], plan, save, files: [],
    };
    this.run.value = run;
    this.history.value = [run, ...this.history.value.filter((r) => r.text !== text)].slice(0, 50);
    // Of earlier runs the rows are not kept.
    for (const r of this.history.value.slice(1)) {
      for (const x of r.results) x.rows.clear();
      for (const x of r.files.splice(0)) if (x.url) URL.revokeObjectURL(x.url);
    }
    const start = () => { this.busy.value = true; this.send({ type: "run", run: run.number, text, ...(save ? { save } : { rows: plan ? 100_000 : portion }) }); };
    if (this.busy.value) this.wanted.unshift(start); else start(); // before what the tree wants
    this.change();
  }

  more(rows: number) {
    const r = this.run.value;
    if (r?.state !== "paused") return;
    r.state = "running";
    this.send({ type: "more", run: r.number, rows });
    this.change();
  }

  cancel() { const r = this.run.value; if (r && this.running.value) this.send({ type: "cancel", run: r.number }); }

  close() {
    this.send({ type: "close" });
    if (this.state.value !== "ended") this.end("");
    this.socket?.close(1000);
    this.socket = null;
  }
}
