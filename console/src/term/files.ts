import { signal } from "@preact/signals";
import { at, lost as loggedOut } from "../api";
import { socketURL, type Held } from "./socket";

/** A file that is moved, or was. */
export interface Move { number: number; put: boolean; path: string; size: number; moved: number; state: "waiting" | "moving" | "held" | "done" | "failed"; message: string; refused: boolean; held: Held | null; content: File | null; parts: Blob[]; name: string }

/** How many bytes are read of a file at once. */
const part = 32 << 10;

/** Files to and from a machine: a session of its own, which begins with the first file and ends with the terminal. */
export class Files {
  readonly moves = signal<Move[]>([]);
  /** Goes up with every change of a move. */
  readonly turn = signal(0);
  private socket: WebSocket | null = null;
  private open = false;
  private window = 1 << 20;
  private number = 0;
  private received = 0; // bytes of files
  private sent = 0;
  private passed = 0;
  private begun = 0; // of what was sent, before the file that is being sent
  private wake: (() => void) | null = null;

  constructor(readonly resource: string, readonly account: string) {}

  get(path: string) { this.add({ put: false, path, size: -1, content: null }); }
  put(content: File, folder: string) { this.add({ put: true, path: folder && folder !== "." ? folder.replace(/\/*$/, "/") + content.name : content.name, size: content.size, content }); }

  private add(m: Pick<Move, "put" | "path" | "size" | "content">) {
    this.moves.value = [...this.moves.value, { ...m, number: 0, moved: 0, state: "waiting", message: "", refused: false, held: null, parts: [], name: "" }];
    this.next();
  }

  private get current(): Move | undefined { return this.moves.value.find((m) => m.state === "moving" || m.state === "held"); }

  private next() {
    if (this.current) return;
    const m = this.moves.value.find((x) => x.state === "waiting");
    if (!m) return;
    if (!this.socket) { this.connect(); return; }
    if (!this.open) return;
    m.number = ++this.number;
    m.state = "moving";
    this.send(m.put ? { type: "put", file: m.number, path: m.path, size: m.size } : { type: "get", file: m.number, path: m.path });
    this.change();
  }

  private connect() {
    const s = new WebSocket(socketURL(at`/v1/resources/${this.resource}/files`));
    this.socket = s;
    this.open = false;
    this.received = this.sent = this.passed = this.number = 0;
    s.onopen = () => this.send({ type: "open", account: this.account || undefined });
    s.onmessage = (e) => { if (this.socket === s) typeof e.data === "string" ? this.told(JSON.parse(e.data)) : this.part(e.data); };
    s.onclose = (e) => {
      if (this.socket !== s) return;
      this.ended(e.code === 4001 ? "your login has ended" : e.reason || "the connection to the gateway was lost");
      if (e.code === 4001) loggedOut.tell();
    };
  }

  private send(v: object) { if (this.socket?.readyState === WebSocket.OPEN) this.socket.send(JSON.stringify(v)); }
  private change() { this.turn.value++; }

  /** ended has what waits fail, too: the reason holds for it. */
  private ended(reason: string) {
    this.socket?.close(1000);
    this.socket = null;
    for (const m of this.moves.value) if (m.state === "waiting" || m.state === "moving" || m.state === "held") Object.assign(m, { state: "failed", message: reason || "the session has ended", parts: [], content: null });
    this.wake?.();
    this.change();
  }

  private told(f: any) {
    const m = this.current;
    switch (f.type) {
      case "opened": this.open = true; this.window = f.window; this.next(); break;
      case "held": { const x = m ?? this.moves.value.find((y) => y.state === "waiting"); if (x) { x.held = f; if (m) x.state = "held"; } break; }
      case "file":
        if (!m) break;
        Object.assign(m, { state: "moving", held: null, size: f.size, name: f.name ?? "" });
        if (m.put) void this.upload(m);
        break;
      case "ack": this.passed = f.received; if (m?.put && this.passed > this.begun) Object.assign(m, { moved: this.passed - this.begun, state: "moving", held: null }); this.wake?.(); break;
      case "done":
        if (!m) break;
        m.state = "done";
        m.moved = f.bytes;
        if (!m.put) this.save(m);
        m.content = null;
        this.next();
        break;
      case "failed":
        if (!m) break;
        Object.assign(m, { state: "failed", message: f.message, refused: !!f.refused, held: null, parts: [], content: null });
        this.wake?.();
        this.next();
        break;
      case "ended": this.ended(f.reason ?? ""); break;
    }
    this.change();
  }

  private async upload(m: Move) {
    this.begun = this.sent;
    for (let place = 0; place < m.size && this.current === m; place += part) {
      let bytes: ArrayBuffer;
      try { bytes = await m.content!.slice(place, place + part).arrayBuffer(); } catch { this.cancel(m); return; }
      while (this.sent + bytes.byteLength - this.passed > this.window && this.current === m) await new Promise<void>((done) => { this.wake = done; });
      if (this.current !== m) return;
      this.socket?.send(bytes);
      this.sent += bytes.byteLength;
    }
  }

  private part(b: Blob) {
    const m = this.current;
    this.received += b.size;
    this.send({ type: "ack", received: this.received });
    if (m && !m.put) { m.parts.push(b); m.moved += b.size; this.change(); }
  }

  /** save has the browser save what has come. */
  private save(m: Move) {
    const url = URL.createObjectURL(new Blob(m.parts, { type: "application/octet-stream" }));
    m.parts = [];
    const a = document.createElement("a");
    a.href = url;
    a.download = m.name || "file";
    a.click();
    setTimeout(() => URL.revokeObjectURL(url), 60_000);
  }

  cancel(m: Move) {
    if (m.state === "waiting") { m.state = "failed"; m.message = "you have cancelled it"; this.change(); return; }
    this.send({ type: "cancel", file: m.number });
  }

  close() {
    this.send({ type: "close" });
    this.ended("the terminal was closed");
  }
}
