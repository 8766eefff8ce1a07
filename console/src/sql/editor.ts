import { autocompletion, closeBrackets, closeBracketsKeymap, completionKeymap } from "@codemirror/autocomplete";
import { defaultKeymap, history, historyKeymap } from "@codemirror/commands";
import { MySQL, PostgreSQL, sql, type SQLNamespace } from "@codemirror/lang-sql";
import { bracketMatching, HighlightStyle, indentOnInput, syntaxHighlighting } from "@codemirror/language";
import { Compartment, EditorState, StateEffect, StateField } from "@codemirror/state";
import { Decoration, drawSelection, EditorView, highlightActiveLine, keymap, lineNumbers, placeholder, type DecorationSet } from "@codemirror/view";
import { tags as t } from "@lezer/highlight";
import nonce from "../nonce";

const theme = EditorView.theme({
  "&": { height: "100%", fontSize: "13px", backgroundColor: "var(--panel)", color: "var(--ink)" },
  "&.cm-focused": { outline: "2px solid var(--accent)", outlineOffset: "-2px" },
  ".cm-scroller": { fontFamily: "var(--mono)", lineHeight: "20px" },
  ".cm-content": { caretColor: "var(--accent)", padding: "8px 0" },
  ".cm-cursor": { borderLeftColor: "var(--accent)", borderLeftWidth: "2px" },
  ".cm-gutters": { backgroundColor: "var(--panel)", color: "var(--dim)", border: "0" },
  ".cm-activeLine, .cm-activeLineGutter": { backgroundColor: "transparent" },
  "&.cm-focused .cm-selectionBackground, .cm-selectionBackground": { backgroundColor: "var(--select) !important" },
  ".cm-matchingBracket": { outline: "1px solid var(--edge)", backgroundColor: "transparent !important" },
  ".cm-tooltip": { backgroundColor: "var(--panel)", border: "1px solid var(--line)", borderRadius: "4px", boxShadow: "var(--shadow)" },
  ".cm-tooltip-autocomplete ul": { fontFamily: "var(--mono) !important", fontSize: "12px" },
  ".cm-tooltip-autocomplete ul li[aria-selected]": { backgroundColor: "var(--accent) !important", color: "var(--on-accent) !important" },
  ".cm-completionDetail": { fontStyle: "normal", opacity: "0.8" },
  ".cm-wrong": { textDecoration: "underline wavy var(--deny)", textUnderlineOffset: "4px" },
  ".cm-placeholder": { color: "var(--dim)" },
});

const style = HighlightStyle.define([
  { tag: [t.keyword, t.operatorKeyword, t.modifier], color: "var(--accent)", fontWeight: "600" },
  { tag: [t.string, t.special(t.string)], color: "var(--allow)" },
  { tag: [t.number, t.bool, t.null], color: "var(--review)" },
  { tag: [t.comment, t.lineComment, t.blockComment], color: "var(--dim)", fontStyle: "italic" },
  { tag: [t.typeName, t.standard(t.name)], color: "var(--masked)" },
]);

const mark = StateEffect.define<number | null>();
const marked = StateField.define<DecorationSet>({
  create: () => Decoration.none,
  update(set, tr) {
    set = set.map(tr.changes);
    for (const e of tr.effects) {
      if (!e.is(mark)) continue;
      if (e.value === null || e.value >= tr.state.doc.length) { set = Decoration.none; continue; }
      const word = tr.state.wordAt(e.value);
      set = Decoration.set([Decoration.mark({ class: "cm-wrong" }).range(word?.from ?? e.value, word?.to ?? e.value + 1)]);
    }
    return tr.docChanged ? Decoration.none : set;
  },
  provide: (f) => EditorView.decorations.from(f),
});

/** An editor of SQL. */
export class Editor {
  readonly view: EditorView;
  private readonly language = new Compartment();
  private readonly dialect;

  constructor(place: HTMLElement, text: string, type: string, does: { run: () => void; explain: () => void; leave: () => void; change: (text: string) => void }) {
    this.dialect = type === "mysql" ? MySQL : PostgreSQL;
    this.view = new EditorView({
      parent: place,
      state: EditorState.create({
        doc: text,
        extensions: [
          EditorView.cspNonce.of(nonce), theme, syntaxHighlighting(style), lineNumbers(), history(), drawSelection(), indentOnInput(), bracketMatching(), closeBrackets(),
          autocompletion({ icons: false, maxRenderedOptions: 60 }), highlightActiveLine(), marked, placeholder("SELECT …"), EditorView.lineWrapping,
          // A browser that types over a selection keeps its looks by styles of elements, which the page's policy blocks.
          EditorView.domEventHandlers({
            beforeinput(e, view) {
              const s = view.state.selection.main, text = e.data;
              if (e.inputType !== "insertText" || !text || s.empty || view.composing) return false;
              const insert = () => view.state.update(view.state.replaceSelection(text), { userEvent: "input.type", scrollIntoView: true });
              if (!view.state.facet(EditorView.inputHandler).some((h) => h(view, s.from, s.to, text, insert))) view.dispatch(insert());
              return true;
            },
          }),
          EditorView.contentAttributes.of({ "aria-label": "Statement", spellcheck: "false", autocapitalize: "off" }),
          EditorView.updateListener.of((u) => { if (u.docChanged) does.change(u.state.doc.toString()); }),
          keymap.of([
            { key: "Mod-Enter", run: () => { does.run(); return true; } },
            { key: "Mod-Shift-Enter", run: () => { does.explain(); return true; } },
            { key: "Ctrl-Shift-m", run: () => { does.leave(); return true; } },
            ...closeBracketsKeymap, ...defaultKeymap, ...historyKeymap, ...completionKeymap,
          ]),
          this.language.of(sql({ dialect: this.dialect, upperCaseKeywords: true })),
        ],
      }),
    });
  }

  /** know completes the names of a catalog. */
  know(schema: SQLNamespace, defaultSchema: string) {
    this.view.dispatch({ effects: this.language.reconfigure(sql({ dialect: this.dialect, upperCaseKeywords: true, schema, defaultSchema })) });
  }

  /** What is to run: what is selected, or all of it. */
  chosen(): { text: string; from: number } {
    const s = this.view.state.selection.main;
    return s.empty ? { text: this.view.state.doc.toString(), from: 0 } : { text: this.view.state.sliceDoc(s.from, s.to), from: s.from };
  }

  /** wrong marks a place, in characters as the server counts them from 1. */
  wrong(from: number, position: number | undefined) {
    if (!position) { this.view.dispatch({ effects: mark.of(null) }); return; }
    const text = this.view.state.sliceDoc(from);
    let at = 0;
    for (let n = 1; n < position && at < text.length; n++) at += text.codePointAt(at)! > 0xffff ? 2 : 1;
    this.view.dispatch({ effects: mark.of(from + at) });
  }

  insert(text: string) {
    const { from, to } = this.view.state.selection.main;
    this.view.dispatch({ changes: { from, to, insert: text }, selection: { anchor: from + text.length } });
    this.view.focus();
  }

  replace(text: string) {
    this.view.dispatch({ changes: { from: 0, to: this.view.state.doc.length, insert: text } });
    this.view.focus();
  }

  dispose() { this.view.destroy(); }
}
