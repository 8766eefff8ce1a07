import { signal } from "@preact/signals";
import { at, lost as loggedOut } from "../api";
import { Files } from "./files";
import { Screen } from "./screen";
import { socketURL, type Held, type SessionInfo } from "./socket";

export type State = "opening" | "open" | "lost" | "ended";

const encoder = new TextEncoder();

/**
 * A terminal at a machine, which outlives its page and its sockets. What is shown and what is typed have places in their streams:
 * after a lost socket both sides say how far they have come, so that nothing is lost and nothing comes twice.
 */
export class LiveTerminal {
  readonly screen: Screen;
  readonly files: Files;
  readonly state = signal<State>("opening");
  readonly info = signal<SessionInfo | null>(null);
  readonly held = signal<Held | null>(null);
  readonly reason = signal("");
  readonly status = signal<number | null>(null);
  readonly latency = signal<number | null>(null);
  readonly lostAt = signal(0);
  private id = "";
  private keep = 30;
  private window = 64 << 10;
  private socket: WebSocket | null = null;
  private got = 0; // of what is shown, handed to the screen
  private drawn = 0; // and drawn
  private told = 0; // and acknowledged
  private typed: Uint8Array = new Uint8Array(); // and not passed on
  private passed = 0; // the place of typed[0]
  private sent = 0; // the place after what was sent of it
  private tries = 0;
  private timer = 0;
  private beat = 0;
  private sizing = 0;

  constructor(readonly key: string, readonly resource: string, readonly account: string) {
    this.files = new Files(resource, account);
    this.screen = new Screen(false, `Terminal at ${resource}`);
    const t = this.screen.term;
    t.onData((text) => this.type(encoder.encode(text)));
    t.onBinary((text) => this.type(Uint8Array.from(text, (c) => c.charCodeAt(0))));
    t.onResize(() => { clearTimeout(this.sizing); this.sizing = setTimeout(() => this.send({ type: "resize", columns: t.cols, rows: t.rows }), 60); });
  }

  /** connect opens the terminal, once its screen has a size. */
  connect() {
    const s = new WebSocket(socketURL(at`/v1/resources/${this.resource}/terminal`));
    this.socket = s;
    s.binaryType = "arraybuffer";
    s.onopen = () => {
      const { cols, rows } = this.screen.term;
      if (this.id) this.send({ type: "resume", terminal: this.id, received: this.got, columns: cols, rows });
      else this.send({ type: "open", account: this.account || undefined, term: "xterm-256color", columns: cols, rows });
    };
    s.onmessage = (e) => { if (this.socket === s) typeof e.data === "string" ? this.told_(JSON.parse(e.data)) : this.show(new DataView(e.data)); };
    s.onclose = (e) => { if (this.socket === s) this.closed(e.code, e.reason); };
  }

  private send(v: object) { if (this.socket?.readyState === WebSocket.OPEN) this.socket.send(JSON.stringify(v)); }

  private told_(f: any) {
    switch (f.type) {
      case "opened":
        this.id = f.terminal;
        this.keep = f.keep;
        this.window = f.window;
        this.tries = 0;
        this.lostAt.value = 0;
        if (this.state.value === "lost") this.state.value = this.info.value ? "open" : "opening";
        // What was taken is not sent again, and what was not is.
        this.sent = Math.max(f.received, this.passed);
        this.flush();
        clearInterval(this.beat);
        this.beat = setInterval(() => { if (!document.hidden) this.send({ type: "ping", at: Math.round(performance.now() * 1000) }); }, 5000);
        this.send({ type: "ping", at: Math.round(performance.now() * 1000) });
        break;
      case "session": this.info.value = f; this.held.value = null; this.state.value = "open"; break;
      case "held": this.held.value = f; break;
      case "ack":
        if (f.received > this.passed) {
          this.typed = this.typed.slice(f.received - this.passed);
          this.passed = f.received;
          this.flush();
        }
        break;
      case "pong": this.latency.value = (performance.now() * 1000 - f.at) / 1000; break;
      case "ended": this.end(f.reason ?? "", f.status ?? null); break;
    }
  }

  private show(v: DataView) {
    const place = Number(v.getBigUint64(0)), bytes = new Uint8Array(v.buffer, 8);
    if (place !== this.got) { this.socket?.close(4000, "a gap"); return; } // it is resumed from where it is
    this.got += bytes.length;
    const after = this.got;
    this.screen.term.write(bytes, () => {
      this.drawn = after;
      if (this.drawn - this.told >= 64 << 10 || this.drawn === this.got) {
        this.told = this.drawn;
        this.send({ type: "ack", received: this.told });
      }
    });
  }

  private type(bytes: Uint8Array) {
    if (this.state.value === "ended") return;
    if (this.typed.length + bytes.length > 4 << 20) return; // nobody takes so much
    const all = new Uint8Array(this.typed.length + bytes.length);
    all.set(this.typed);
    all.set(bytes, this.typed.length);
    this.typed = all;
    this.flush();
  }

  private flush() {
    const s = this.socket;
    if (!this.id || s?.readyState !== WebSocket.OPEN) return;
    const end = this.passed + Math.min(this.typed.length, this.window);
    while (this.sent < end) {
      const part = this.typed.subarray(this.sent - this.passed, Math.min(this.sent + (16 << 10), end) - this.passed);
      const frame = new Uint8Array(8 + part.length);
      new DataView(frame.buffer).setBigUint64(0, BigInt(this.sent));
      frame.set(part, 8);
      s.send(frame);
      this.sent += part.length;
    }
  }

  private closed(code: number, reason: string) {
    this.socket = null;
    clearInterval(this.beat);
    if (this.state.value === "ended") return;
    if (code === 4001) { this.end("your login has ended", null); loggedOut.tell(); return; }
    if (code === 4002 || code === 1008 || code === 1009) { this.end(reason || "the gateway has ended the terminal", null); return; }
    if (!this.lostAt.value) this.lostAt.value = Date.now();
    if (!this.id || Date.now() - this.lostAt.value > this.keep * 1000) { this.end(this.id ? "the connection was lost for too long" : "the gateway does not open a terminal: look at the connection", null); return; }
    this.state.value = "lost";
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.connect(), Math.min(4000, 200 * 2 ** this.tries++));
  }

  /** When the gateway gives the terminal up that has lost its socket. */
  get until() { return this.lostAt.value + this.keep * 1000; }

  private end(reason: string, status: number | null) {
    this.reason.value = reason;
    this.status.value = status;
    this.state.value = "ended";
    this.screen.term.options.disableStdin = true;
    clearInterval(this.beat);
    clearTimeout(this.timer);
    this.socket?.close(1000);
    this.socket = null;
  }

  /** drop loses the socket, as when the network changes. */
  drop() { if (this.state.value === "open") this.socket?.close(4000, "the network"); }

  close() {
    this.send({ type: "close" });
    this.end("", null);
    this.files.close();
    this.screen.dispose();
  }
}

/** The terminals that are open in this tab of the browser. */
export const terminals = signal<LiveTerminal[]>([]);
let number = 0;

export function openTerminal(resource: string, account = ""): LiveTerminal {
  const t = new LiveTerminal(String(++number), resource, account);
  terminals.value = [...terminals.value, t];
  return t;
}

export function closeTerminal(t: LiveTerminal) {
  terminals.value = terminals.value.filter((x) => x !== t);
  t.close();
}

// A machine that wakes up, or whose network is another one, finds out late that its sockets are dead.
addEventListener("online", () => { for (const t of terminals.value) t.drop(); });

// Who leaves the page is asked when terminals are open: they end with it.
addEventListener("beforeunload", (e) => { if (terminals.value.some((t) => t.state.value !== "ended")) e.preventDefault(); });
