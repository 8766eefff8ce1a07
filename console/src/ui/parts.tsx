import type { ComponentChildren } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";
import { Refusal } from "../api";
import { Icon, type IconName } from "./icon";
import { title } from "../base";
import { Code, visible } from "./text";

/** The head of a page: where one is, and what one can do here. */
export function Head({ title, about, children }: { title: ComponentChildren; about?: ComponentChildren; children?: ComponentChildren }) {
  return (
    <header class="page-head">
      <div class="grow"><h1 tabindex={-1}>{title}</h1>{about && <p class="dim">{about}</p>}</div>
      {children && <div class="tools">{children}</div>}
    </header>
  );
}

export function useTitle(text: string) {
  useEffect(() => { document.title = visible(text) + " · " + title; }, [text]);
}

/** Nothing is there: what that means, and what to do. */
export function Empty({ icon, title, children, command }: { icon: IconName; title: string; children?: ComponentChildren; command?: string }) {
  return (
    <div class="empty"><Icon name={icon} size={20} /><p class="strong">{title}</p>{children && <p class="dim">{children}</p>}
      {command && <Code text={command} label="Command" />}</div>
  );
}

/** Something that went wrong, where it did. */
export function Problem({ of, again }: { of: string; again?: () => void }) {
  return (
    <div class="problem" role="alert"><Icon name="triangleAlert" /><span class="grow">{of}</span>
      {again && <button type="button" onClick={again}>Try again</button>}</div>
  );
}

/** What is shown while something loads: nothing for 300 ms. */
export function Skeleton({ rows = 6 }: { rows?: number }) {
  return <div class="skeleton" role="status" aria-label="Loading">{Array.from({ length: rows }, (_, i) => <span key={i} />)}</div>;
}

export interface Loaded<T> { value: T | null; problem: string; missing: boolean; again: () => void }

/** useLoad asks the API for something, again when a key changes. What is shown stays until the answer comes. */
export function useLoad<T>(load: ((signal: AbortSignal) => Promise<T>) | null, ...on: unknown[]): Loaded<T> {
  const [state, set] = useState<{ value: T | null; problem: string; missing: boolean }>({ value: null, problem: "", missing: false });
  const [turn, setTurn] = useState(0);
  useEffect(() => {
    if (!load) return;
    const stop = new AbortController();
    load(stop.signal).then((value) => set({ value, problem: "", missing: false })).catch((e) => {
      if (!stop.signal.aborted) set((s) => ({ value: (e as Refusal).status === 404 ? null : s.value, problem: e.message, missing: (e as Refusal).status === 404 }));
    });
    return () => stop.abort();
  }, [turn, ...on]);
  return { ...state, again: () => setTurn((n) => n + 1) };
}

/** A dialog that the browser itself keeps the focus in. */
export function Dialog({ title, close, children, wide }: { title: string; close: () => void; children: ComponentChildren; wide?: boolean }) {
  const box = useRef<HTMLDialogElement>(null);
  useEffect(() => {
    const before = document.activeElement as HTMLElement | null;
    box.current?.showModal();
    return () => before?.focus?.();
  }, []);
  return (
    <dialog ref={box} class={wide ? "wide" : ""} aria-label={title} onClose={close} onCancel={close}
      onClick={(e) => { if (e.target === e.currentTarget) close(); }}>
      <div class="dialog"><header><h2>{title}</h2><button type="button" class="quiet icon-only" onClick={close} aria-label="Close"><Icon name="x" /></button></header>{children}</div>
    </dialog>
  );
}

/** A field with its label and what is to be known of it. */
export function Field({ label, hint, children, id }: { label: string; hint?: ComponentChildren; children: ComponentChildren; id: string }) {
  return <div class="field"><label for={id}>{label}</label>{children}{hint && <p class="hint" id={id + "-hint"}>{hint}</p>}</div>;
}

/** useDoing runs something once at a time, and keeps what went wrong. */
export function useDoing(): { busy: boolean; slow: boolean; problem: string; run: (f: () => Promise<unknown>) => Promise<boolean>; clear: () => void } {
  const [s, set] = useState({ busy: false, slow: false, problem: "" });
  const going = useRef(false);
  const run = async (f: () => Promise<unknown>) => {
    if (going.current) return false;
    going.current = true;
    set({ busy: true, slow: false, problem: "" });
    const late = setTimeout(() => set((x) => ({ ...x, slow: x.busy })), 300);
    try {
      await f();
      set({ busy: false, slow: false, problem: "" });
      return true;
    } catch (e) {
      set({ busy: false, slow: false, problem: (e as Error).message });
      return false;
    } finally {
      going.current = false;
      clearTimeout(late);
    }
  };
  return { ...s, run, clear: () => set({ busy: false, slow: false, problem: "" }) };
}

/** Two columns: a term, and what it is. */
export function Facts({ children }: { children: ComponentChildren }) { return <dl class="facts">{children}</dl>; }

export function Fact({ word, children }: { word: string; children: ComponentChildren }) {
  return <><dt>{word}</dt><dd>{children}</dd></>;
}
