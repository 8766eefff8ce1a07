import { FitAddon } from "@xterm/addon-fit";
import { SearchAddon } from "@xterm/addon-search";
import { WebglAddon } from "@xterm/addon-webgl";
import { Terminal, type ITheme } from "@xterm/xterm";
import { stamp } from "../nonce";

stamp();

// What a machine shows may have come from anybody who could make it show something. Of its
// control sequences those pass that draw, and the questions that programs need answered, as
// where the cursor is. Titles, the clipboard, links, notifications and files are left out.
const oscs = [0, 1, 2, 7, 8, 9, 52, 99, 133, 633, 777, 1337, 5522];

const light: ITheme = {
  background: "#fbfcfd", foreground: "#1f2733", cursor: "#1d4f91", cursorAccent: "#ffffff", selectionBackground: "#b9d2f0",
  black: "#1f2733", red: "#b3261e", green: "#1b6e3c", yellow: "#80570a", blue: "#1d4f91", magenta: "#7a3aa0", cyan: "#0d6872", white: "#5c6675",
  brightBlack: "#4b5563", brightRed: "#c4362d", brightGreen: "#237a47", brightYellow: "#8a6112", brightBlue: "#2a62ad", brightMagenta: "#8b4bb3", brightCyan: "#15737d", brightWhite: "#2a3342",
};
const dark: ITheme = {
  background: "#12171f", foreground: "#e6e9ee", cursor: "#8fc1ff", cursorAccent: "#12171f", selectionBackground: "#2f4a6d",
  black: "#3b4657", red: "#ff8f85", green: "#7ddb9a", yellow: "#e7c35f", blue: "#8fc1ff", magenta: "#d3a6f5", cyan: "#6fd3dc", white: "#d5dae2",
  brightBlack: "#8793a5", brightRed: "#ffaea7", brightGreen: "#a2e9b8", brightYellow: "#f2d888", brightBlue: "#b3d6ff", brightMagenta: "#e3c6fb", brightCyan: "#9ce4ea", brightWhite: "#ffffff",
};

const prefers = matchMedia("(prefers-color-scheme: dark)");
const isDark = () => { const t = document.documentElement.dataset.theme; return t === "dark" || (t !== "light" && prefers.matches); };

export const sizes = [11, 12, 13, 14, 16, 18] as const;
export const keepSize = (n: number) => { try { localStorage.setItem("sallyport.term", String(n)); } catch { /* it counts for this page */ } };
export const size = () => { let n = 13; try { n = Number(localStorage.getItem("sallyport.term")) || 13; } catch { /* it is not allowed to keep anything */ } return Math.min(24, Math.max(10, n)); };

/** A screen: an element that is moved from page to page, with what is shown on it. */
export class Screen {
  readonly box = document.createElement("div");
  readonly term: Terminal;
  readonly search = new SearchAddon();
  private readonly fitting = new FitAddon();
  private opened = false;
  private readonly watch: ResizeObserver;
  private themed = () => { this.term.options.theme = isDark() ? dark : light; };
  private readonly attribute = new MutationObserver(this.themed);
  /** Whether the screen takes the size of its place, as a terminal that somebody works at. */
  fits = true;
  renderer = "";

  constructor(readOnly: boolean, label: string) {
    this.box.className = "screen";
    this.term = new Terminal({
      fontFamily: '"IBM Plex Mono", ui-monospace, monospace', fontSize: size(), lineHeight: 1.2, scrollback: 10_000, cursorBlink: false,
      theme: isDark() ? dark : light, minimumContrastRatio: 4.5, disableStdin: readOnly, linkHandler: { activate: () => {} }, logLevel: "off",
      macOptionIsMeta: true, rightClickSelectsWord: false,
    });
    this.term.loadAddon(this.fitting);
    this.term.loadAddon(this.search);
    for (const n of oscs) this.term.parser.registerOscHandler(n, () => true);
    if (readOnly) { // nobody answers
      this.term.parser.registerCsiHandler({ final: "c" }, () => true);
      this.term.parser.registerCsiHandler({ final: "n" }, () => true);
    }
    this.watch = new ResizeObserver(() => { if (this.fits) this.fit(); });
    prefers.addEventListener("change", this.themed);
    this.attribute.observe(document.documentElement, { attributes: true, attributeFilter: ["data-theme"] });
    this.box.setAttribute("role", "group");
    this.box.setAttribute("aria-label", label);
  }

  /** show puts the screen where it is seen. */
  show(place: HTMLElement) {
    place.append(this.box);
    if (!this.opened) {
      this.opened = true;
      this.term.open(this.box);
      this.draw();
      document.fonts?.load(`${size()}px "IBM Plex Mono"`).then(() => { this.term.options.fontFamily = '"IBM Plex Mono", ui-monospace, monospace '; if (this.fits) this.fit(); });
    }
    this.watch.observe(place);
    if (this.fits) this.fit();
  }

  hide() {
    this.watch.disconnect();
    this.box.remove();
  }

  // Colours of 24 bits are drawn on a canvas: as styles of elements the page's policy blocks them.
  private draw() {
    try {
      const gl = new WebglAddon();
      gl.onContextLoss(() => { gl.dispose(); this.renderer = "dom"; });
      this.term.loadAddon(gl);
      this.renderer = "webgl";
    } catch {
      this.renderer = "dom";
    }
    this.box.dataset.renderer = this.renderer;
  }

  fit() {
    const d = this.fitting.proposeDimensions();
    if (!d || !Number.isFinite(d.cols) || !Number.isFinite(d.rows)) return;
    const cols = Math.max(20, Math.min(500, d.cols)), rows = Math.max(4, Math.min(300, d.rows));
    if (cols !== this.term.cols || rows !== this.term.rows) this.term.resize(cols, rows);
  }

  resize(px: number) {
    this.term.options.fontSize = px;
    keepSize(px);
    if (this.fits) this.fit();
  }

  dispose() {
    this.hide();
    prefers.removeEventListener("change", this.themed);
    this.attribute.disconnect();
    this.term.dispose();
  }
}
