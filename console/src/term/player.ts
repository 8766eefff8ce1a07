import { signal } from "@preact/signals";
import type { Head, Piece } from "./recording";
import { Screen } from "./screen";

export const speeds = [0.5, 1, 2, 4, 8, 16] as const;

/** Pauses longer than this are left out where somebody wants that, in milliseconds. */
const idle = 1500;

/** Player shows a recording as it was, from any place and at any speed. */
export class Player {
  readonly screen: Screen;
  readonly at = signal(0); // milliseconds
  readonly playing = signal(false);
  readonly speed = signal(1);
  readonly skip = signal(true);
  readonly length = signal(0);
  readonly size = signal("");
  pieces: Piece[] = [];
  head: Head | null = null;
  private next = 0; // the piece that is shown next
  private frame = 0;
  private last = 0;

  constructor(label: string) {
    this.screen = new Screen(true, label);
    this.screen.fits = false;
  }

  /** take has more of the recording known. */
  take(head: Head, pieces: Piece[]) {
    if (!this.head) {
      this.head = head;
      this.begin();
    }
    this.pieces = pieces;
    this.length.value = pieces.length ? pieces[pieces.length - 1].at : 0;
  }

  private begin() {
    const t = this.screen.term;
    t.reset();
    this.resize(this.head?.width || 80, this.head?.height || 24);
    this.next = 0;
  }

  private resize(columns: number, rows: number) {
    this.screen.term.resize(Math.min(columns, 500), Math.min(rows, 200));
    this.size.value = `${columns} × ${rows}`;
  }

  private show(p: Piece) {
    if (p.width && p.height) this.resize(p.width, p.height);
    // A command's lines end without a carriage return.
    if (p.out) this.screen.term.write(this.head!.stream === "terminal" ? p.out : p.out.replace(/\r?\n/g, "\r\n"));
  }

  /** seek shows the recording as it was at a time. */
  seek(ms: number) {
    const to = Math.max(0, Math.min(this.length.value, ms));
    if (to < this.at.value) this.begin();
    let text = "";
    while (this.next < this.pieces.length && this.pieces[this.next].at <= to) {
      const p = this.pieces[this.next++];
      if (p.out && this.head!.stream === "terminal") { text += p.out; continue; }
      if (text) { this.screen.term.write(text); text = ""; }
      this.show(p);
    }
    if (text) this.screen.term.write(text);
    this.at.value = to;
  }

  play() {
    if (this.playing.value || !this.pieces.length) return;
    if (this.at.value >= this.length.value) this.seek(0);
    this.playing.value = true;
    this.last = performance.now();
    const step = () => {
      if (!this.playing.value) return;
      const now = performance.now(), after = this.pieces[this.next]?.at ?? this.length.value;
      let to = this.at.value + (now - this.last) * this.speed.value;
      this.last = now;
      if (this.skip.value && after - this.at.value > idle) to = Math.max(to, after - 300);
      this.seek(to);
      if (this.at.value >= this.length.value) { this.pause(); return; }
      this.frame = requestAnimationFrame(step);
    };
    this.frame = requestAnimationFrame(step);
  }

  pause() {
    this.playing.value = false;
    cancelAnimationFrame(this.frame);
  }

  /** How much was shown in each of n equal parts of the recording, from 0 to 1. */
  density(n: number): number[] {
    const parts = new Array<number>(n).fill(0), whole = this.length.value || 1;
    for (const p of this.pieces) if (p.out) parts[Math.min(n - 1, Math.floor((p.at / whole) * n))] += p.out.length;
    const most = Math.max(1, ...parts);
    return parts.map((x) => (x ? Math.max(0.08, Math.log1p(x) / Math.log1p(most)) : 0));
  }

  dispose() {
    this.pause();
    this.screen.dispose();
  }
}
