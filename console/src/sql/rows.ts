import type { Cell } from "./desk";

// A million rows of strings take more memory than a page should have. So rows are kept in parts, of which those that were looked at last are in memory, and
// the others are texts that the browser keeps, on the disk where it likes.
const size = 4096;
const open = 6;

interface Part { rows: Cell[][] | null; text: Blob | null; reading: boolean }

/** The rows of a result, as they come. */
export class Rows {
  length = 0;
  private parts: Part[] = [];
  private used: Part[] = [];

  /** came is called when rows are there that were not when they were asked for. */
  constructor(private came: () => void) {}

  push(row: Cell[]) {
    let last = this.parts[this.parts.length - 1];
    if (!last || this.length === this.parts.length * size) {
      if (this.parts.length > 1) this.close(last);
      last = { rows: [], text: null, reading: false };
      this.parts.push(last);
    }
    last.rows!.push(row);
    this.length++;
  }

  private close(p: Part) {
    p.text = new Blob([JSON.stringify(p.rows)]);
    p.rows = null;
  }

  /** at is a row; null while it is read, and where it is not there. */
  at(i: number): Cell[] | null {
    const p = this.parts[Math.floor(i / size)];
    if (!p) return null;
    if (p.rows) return p.rows[i % size] ?? null;
    if (!p.reading) {
      p.reading = true;
      p.text!.text().then((text) => {
        p.rows = JSON.parse(text);
        this.used.push(p);
        if (this.used.length > open) this.used.shift()!.rows = null;
        this.came();
      }).finally(() => { p.reading = false; }).catch(() => { /* it is read again when it is drawn next */ });
    }
    return null;
  }

  /** The first rows, which stay in memory. */
  get first(): Cell[][] { return this.parts[0]?.rows ?? []; }

  /** clear forgets all rows. */
  clear() { this.length = 0; this.parts = []; this.used = []; }
}
