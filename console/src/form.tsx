import { useState } from "preact/hooks";
import { Icon } from "./ui/icon";
import { Field, useLoad } from "./ui/parts";
import { visible } from "./ui/text";

// A form made of a JSON Schema. It helps to write values; the gateway checks them, whatever is let through here.

export interface Property {
  "x-type": string; title?: string; description?: string; enum?: string[]; items?: { enum?: string[] }; default?: unknown;
  minimum?: number; maximum?: number; minLength?: number; maxLength?: number; pattern?: string;
  /** The group of targets at which the gateway asks for values. */
  "x-values-from"?: string;
}

/** A value that a parameter may have. */
export interface Suggestion { value: string; label?: string }
export interface Schema { properties: Record<string, Property>; required: string[]; "x-order": string[] }

/** What a form holds: a text for each value, and a list where several may be chosen. */
export type Values = Record<string, string | string[]>;

const shown = (v: unknown): string | string[] => Array.isArray(v) ? v.map(String) : String(v);

/** begin is what a form holds before anything is written. */
export function begin(s: Schema): Values {
  return Object.fromEntries(s["x-order"].map((name) => {
    const p = s.properties[name];
    return [name, p.default === undefined || p.default === null ? (p["x-type"] === "multi" ? [] : "") : shown(p.default)];
  }));
}

/** given is what is sent: what was left empty is left out. */
export function given(s: Schema, values: Values): Record<string, unknown> {
  const out: Record<string, unknown> = {};
  for (const name of s["x-order"]) {
    const v = values[name];
    if (Array.isArray(v) ? v.length || s.properties[name].default !== undefined : v !== "") out[name] = v;
  }
  return out;
}

const examples: Record<string, string> = {
  integer: "A whole number.", number: "A number, such as 12.50.", datetime: "A time, such as 2026-01-31T15:04:05Z.", duration: "A length of time, such as 30s or 1h.", ip: "An IP address.", cidr: "A network, such as 10.0.0.0/8.",
  uuid: "A UUID.", email: "A mail address.", url: "A URL.",
};

/** wrong says what a value lacks; empty: nothing that is known here. */
export function wrong(p: Property, v: string | string[], required: boolean): string {
  if (Array.isArray(v)) return required && v.length === 0 ? "Choose at least one." : "";
  if (v === "") return required ? "It is required." : "";
  const length = [...v].length;
  switch (p["x-type"]) {
    case "integer": if (!/^-?(0|[1-9]\d*)$/.test(v)) return "It is not a whole number."; break;
    case "number": if (!/^-?(0|[1-9]\d*)(\.\d+)?$/.test(v)) return "It is not a number."; break;
    case "string": case "text":
      if (p.maxLength !== undefined && length > p.maxLength) return `It has ${length} characters, and may have ${p.maxLength}.`;
      if (p.minLength !== undefined && length < p.minLength) return `It has ${length} characters, and needs ${p.minLength}.`;
      break;
  }
  if (p["x-type"] === "integer" || p["x-type"] === "number") {
    if (p.minimum !== undefined && Number(v) < p.minimum) return `It is less than ${p.minimum}.`;
    if (p.maximum !== undefined && Number(v) > p.maximum) return `It is more than ${p.maximum}.`;
  }
  if (p.pattern) {
    try { if (!new RegExp(p.pattern, "u").test(v)) return `It does not match ${p.pattern}.`; } catch { /* the gateway knows expressions that browsers do not */ }
  }
  return "";
}

/** ready reports whether nothing is known to be wrong. */
export const ready = (s: Schema, values: Values) => s["x-order"].every((name) => !wrong(s.properties[name], values[name], s.required.includes(name)));

/** suggest asks for values of a parameter; null: nothing can be asked for it now. */
export type Suggest = (name: string, p: Property) => { key: string; load: (signal: AbortSignal) => Promise<{ values: Suggestion[]; more?: boolean }> } | null;

export function SchemaForm({ of: s, values, set, suggest }: { of: Schema; values: Values; set: (v: Values) => void; suggest: Suggest }) {
  return <>{s["x-order"].map((name) => <One key={name} name={name} of={s.properties[name]} required={s.required.includes(name)} value={values[name]} set={(v) => set({ ...values, [name]: v })} suggest={suggest} />)}</>;
}

function One({ name, of: p, required, value, set, suggest }: { name: string; of: Property; required: boolean; value: string | string[]; set: (v: string | string[]) => void; suggest: Suggest }) {
  const [wanted, want] = useState(false); // the query runs once somebody comes to the field
  const source = wanted ? suggest(name, p) : null;
  const list = useLoad(source ? source.load : null, source?.key);
  const [left, leave] = useState(false);
  const [big, setBig] = useState("");
  const id = "p-" + name, label = visible(p.title ? `${p.title} (${name})` : name) + (required ? "" : ", optional"), problem = big || (left ? wrong(p, value, required) : "");
  const hint = <>{list.problem && <span class="bad">No values can be suggested: {visible(list.problem)} </span>}{list.value?.more && <span>There are more values than are suggested. </span>}{p.description && <bdi>{visible(p.description)} </bdi>}{!p.description && examples[p["x-type"]]}{problem && <span class="bad"><Icon name="triangleAlert" size={12} />{visible(problem)}</span>}</>;
  const said = !!list.problem || !!list.value?.more || !!p.description || !!examples[p["x-type"]] || !!problem;
  if (Array.isArray(value)) return (
    <fieldset class="checks"><legend>{label}</legend>{said && <p class="hint">{hint}</p>}
      {(p.items?.enum ?? []).map((v) => <label key={v} class="check"><input type="checkbox" checked={value.includes(v)} onChange={(e) => { leave(true); set(e.currentTarget.checked ? [...value, v] : value.filter((x) => x !== v)); }} /><bdi>{visible(v)}</bdi></label>)}
    </fieldset>
  );
  const on = { id, required, "aria-describedby": said ? id + "-hint" : undefined, "aria-invalid": problem ? true : undefined, onBlur: () => leave(true) };
  const read = async (f: globalThis.File) => {
    const most = p.maxLength ?? 65536;
    leave(true);
    setBig(f.size > most ? `The file has ${f.size} bytes, and may have ${most}.` : "");
    if (f.size <= most) set(await f.text());
  };
  const input = (e: { currentTarget: { value: string } }) => set(e.currentTarget.value);
  const of = p["x-type"], choices = of === "boolean" ? ["true", "false"] : p.enum;
  return (
    <Field id={id} label={label} hint={said ? hint : undefined}>
      {choices ? (
        <select {...on} value={value} onChange={input}>{(!required || value === "") && <option value="">–</option>}{choices.map((v) => <option key={v} value={v}>{visible(v)}</option>)}</select>
      ) : of === "text" ? <textarea {...on} rows={3} value={value} onInput={input} />
        : of === "file" ? <>
          <textarea {...on} class="mono" rows={4} spellcheck={false} value={value} onInput={input} />
          <input type="file" aria-label={`A file for ${label}`} onChange={(e) => { const f = e.currentTarget.files?.[0]; if (f) read(f); }} />
        </>
        : <input {...on} type={(of === "date" || of === "email" ? of : "text") as "text"} autocomplete="off" spellcheck={of === "string"}
          list={p["x-values-from"] ? id + "-list" : undefined} onFocus={() => want(true)} inputMode={({ integer: "numeric", number: "decimal" } as const)[of]} value={value} onInput={input} />}
      {p["x-values-from"] && <datalist id={id + "-list"}>{(list.value?.values ?? []).map((v, i) => <option key={i} value={v.value}>{visible(v.label ?? "")}</option>)}</datalist>}
    </Field>
  );
}
