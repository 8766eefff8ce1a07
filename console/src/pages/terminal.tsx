import { useEffect, useRef, useState } from "preact/hooks";
import { at, get } from "../api";
import { Frozen } from "../kill";
import { go, query, setQuery } from "../router";
import { found, resources } from "../resources";
import { closeTerminal, openTerminal, terminals, type LiveTerminal } from "../term/live";
import { size, sizes } from "../term/screen";
import { Transfer } from "../term/transfer";
import type { Recording } from "../types";
import { Icon } from "../ui/icon";
import { Empty, useTitle } from "../ui/parts";
import { State } from "../ui/state";
import { A, Left, span, tick, visible } from "../ui/text";

export default function TerminalPage() {
  useEffect(found, []);
  const all = terminals.value;
  const open = query.value.get("open") ?? "", account = query.value.get("account") ?? "", tab = query.value.get("tab") ?? "";
  // An address that opens a terminal does so once: what is shown then has an address of its own.
  useEffect(() => {
    if (!open) return;
    const t = openTerminal(open, account);
    setQuery({ open: null, account: null, tab: t.key });
  }, [open]);
  const at_ = all.find((t) => t.key === tab) ?? all[all.length - 1];
  useTitle(at_ ? at_.resource : "Terminal");
  const machines = (resources.value ?? []).filter((r) => r.type === "ssh");
  return (
    <div class="work">
      <h1 class="away" tabindex={-1}>{at_ ? `Terminal at ${visible(at_.resource)}` : "Terminals"}</h1>
      <div class="tabs">
        <ul aria-label="Open terminals" class="tablist">
          {all.map((t) => <Tab key={t.key} of={t} current={t === at_} />)}
        </ul>
        {machines.length > 0 && <label class="opener"><span class="away">Open another terminal</span>
          <select value="" aria-label="Open another terminal" onChange={(e) => { const n = e.currentTarget.value; e.currentTarget.value = ""; if (n) setQuery({ open: n }); }}>
            <option value="">+ Open</option>{machines.map((r) => <option key={r.name} value={r.name}>{r.name}</option>)}
          </select></label>}
      </div>
      {at_ ? <Shown key={at_.key} of={at_} /> : !open && (
        <Empty icon="squareTerminal" title="No terminal is open">
          {machines.length ? <>Choose a machine: {machines.slice(0, 8).map((r) => <span key={r.name}><button type="button" class="link" onClick={() => setQuery({ open: r.name })}>{r.name}</button> </span>)}</> : <>You may connect to no machine. <A to="/connections">Connections</A></>}
          {" "}A terminal ends with the page that it is on, and waits for half a minute when the network is lost.
        </Empty>
      )}
    </div>
  );
}

function Tab({ of: t, current }: { of: LiveTerminal; current: boolean }) {
  const state = t.state.value;
  return (
    <li class="tab" data-on={current || undefined}>
      <button type="button" aria-current={current ? "true" : undefined} onClick={() => setQuery({ tab: t.key })}>
        <Icon name={state === "ended" ? "circleSlash" : state === "lost" ? "triangleAlert" : "squareTerminal"} size={14} /><bdi>{visible(t.resource)}</bdi>{t.account && <span class="dim"> {visible(t.account)}</span>}
        <span class="away">{state}</span>
      </button>
      <button type="button" class="quiet icon-only" aria-label={`Close the terminal at ${t.resource}`} onClick={() => closeTerminal(t)}><Icon name="x" size={14} /></button>
    </li>
  );
}

function Shown({ of: t }: { of: LiveTerminal }) {
  const place = useRef<HTMLDivElement>(null);
  const tools = useRef<HTMLDivElement>(null);
  const [finding, setFinding] = useState<string | null>(null);
  const [files, setFiles] = useState(false);
  useEffect(() => {
    const term = t.screen.term;
    t.screen.show(place.current!);
    if (t.state.value === "opening" && !t.info.value && !begun.has(t)) { begun.add(t); t.connect(); }
    term.attachCustomKeyEventHandler((e) => {
      if (e.type !== "keydown" || !e.ctrlKey || !e.shiftKey) return true;
      const key = e.key.toLowerCase();
      if (key === "c") { const text = term.getSelection(); if (text) navigator.clipboard.writeText(text).catch(() => {}); e.preventDefault(); return false; }
      if (key === "v") return false; // the browser pastes
      if (key === "f") { setFinding((f) => f ?? ""); e.preventDefault(); return false; }
      if (key === "m") { tools.current?.querySelector<HTMLElement>("button, a, select")?.focus(); e.preventDefault(); return false; }
      return true;
    });
    term.focus();
    return () => t.screen.hide();
  }, [t]);
  const state = t.state.value, info = t.info.value, held = t.held.value;
  return (
    <>
      <div class="statusbar" ref={tools} role="toolbar" aria-label="Terminal">
        <StateOf of={t} />
        {info && <Recorded id={info.session} />}
        {info?.deadline && <Left until={info.deadline} from={info.start} />}
        <span class="grow" />
        {t.latency.value !== null && state === "open" && <span class="dim num" title="What a key takes to the gateway and back">{t.latency.value.toFixed(t.latency.value < 10 ? 1 : 0)} ms</span>}
        <button type="button" class="quiet small" onClick={() => setFinding(finding === null ? "" : null)} aria-pressed={finding !== null}><Icon name="search" size={14} />Find</button>
        <button type="button" class="quiet small" onClick={() => setFiles(!files)} aria-pressed={files}><Icon name="fileText" size={14} />Files</button>
        <label class="sizer"><span class="away">Size of the text</span><select aria-label="Size of the text" value={String(size())} onChange={(e) => { t.screen.resize(Number(e.currentTarget.value)); t.screen.term.focus(); }}>{sizes.map((n) => <option key={n} value={n}>{n} px</option>)}</select></label>
        {info && <A to={"/sessions/" + info.session} class="button small quiet">Session</A>}
        <span class="dim small hide-narrow"><kbd>Ctrl</kbd> <kbd>Shift</kbd> <kbd>M</kbd> leaves the terminal</span>
      </div>
      {held && state !== "ended" && <div class="banner" role="status" data-tone="review"><Icon name="hand" /><span class="grow">{visible(held.message || "This waits for an approval.")}</span>{held.request && <A to={"/requests/" + held.request} class="button small">Request</A>}</div>}
      {info && <Frozen id={info.session} />}
      {state === "lost" && <Lost of={t} />}
      {state === "ended" && <Ended of={t} />}
      {finding !== null && (
        <form class="finder" role="search" onSubmit={(e) => { e.preventDefault(); t.screen.search.findNext(finding); }}>
          <input type="search" aria-label="Find in what was shown" placeholder="Find in what was shown" value={finding} ref={(el) => el?.focus()} onInput={(e) => { setFinding(e.currentTarget.value); t.screen.search.findNext(e.currentTarget.value, { incremental: true }); }}
            onKeyDown={(e) => { if (e.key === "Escape") { setFinding(null); t.screen.term.focus(); } }} />
          <button type="submit" class="small">Next</button><button type="button" class="small" onClick={() => t.screen.search.findPrevious(finding)}>Previous</button>
        </form>
      )}
      {files && <Transfer of={t.files} />}
      <div class="place" ref={place} onDragOver={(e) => { if (e.dataTransfer?.types.includes("Files")) { e.preventDefault(); setFiles(true); } }} onDrop={(e) => e.preventDefault()} />
    </>
  );
}

const begun = new WeakSet<LiveTerminal>();

function StateOf({ of: t }: { of: LiveTerminal }) {
  switch (t.state.value) {
    case "open": return <State tone="allow" icon="circleCheck" word="connected" />;
    case "lost": return <State tone="review" icon="triangleAlert" word="connection lost" />;
    case "ended": return <State tone="off" icon="circleSlash" word="ended" />;
    default: return t.held.value ? <State tone="review" icon="hand" word="waits for approval" /> : <State tone="info" icon="clock" word="connecting" />;
  }
}

/** Whether what is shown is recorded. That is asked once a session. */
function Recorded({ id }: { id: string }) {
  const [how, set] = useState(known.get(id) ?? "");
  useEffect(() => {
    if (known.has(id)) return;
    get<Recording>(at`/v1/recordings/${id}`).then((r) => { const v = r.recording?.terminal ?? "off"; known.set(id, v); set(v); }).catch(() => {});
  }, [id]);
  if (!how) return null;
  return how === "off" ? <State tone="off" icon="circleSlash" word="not recorded" title="What was asked is on record all the same." /> : <State tone="live" icon="record" word="recorded" title="What this terminal shows is on record." />;
}
const known = new Map<string, string>();

function Lost({ of: t }: { of: LiveTerminal }) {
  tick.value;
  const left = Math.max(0, t.until - Date.now());
  return <div class="banner" role="alert" data-tone="review"><Icon name="triangleAlert" /><span class="grow">The connection to the gateway was lost. It is tried again; the terminal waits for {span(left)} more, and nothing of it is lost.</span></div>;
}

function Ended({ of: t }: { of: LiveTerminal }) {
  const again = () => { closeTerminal(t); go(`/terminal?open=${encodeURIComponent(t.resource)}${t.account ? "&account=" + encodeURIComponent(t.account) : ""}`); };
  const status = t.status.value, info = t.info.value;
  return (
    <div class="banner" role="alert" data-tone={t.reason.value ? "deny" : "off"}><Icon name={t.reason.value ? "ban" : "check"} />
      <span class="grow">{t.reason.value ? <>The terminal has ended: <bdi>{visible(t.reason.value)}</bdi>.</> : status !== null ? `The terminal has ended with the status ${status}.` : "The terminal has ended."}</span>
      {info && <A to={`/sessions/${info.session}/replay`} class="button small"><Icon name="play" size={14} />Replay</A>}
      <button type="button" class="small" onClick={again}><Icon name="rotateCcw" size={14} />Open again</button></div>
  );
}
