import { useEffect, useRef, useState } from "preact/hooks";
import { at, get, may } from "../api";
import { api } from "../base";
import { Frozen, KillDialog, StepIn } from "../kill";
import { sessions } from "../live";
import { me } from "../me";
import { query, setQuery } from "../router";
import { content, load, watch } from "../term/recording";
import { Player, speeds } from "../term/player";
import { Screen } from "../term/screen";
import type { Operation, Recording } from "../types";
import { Icon } from "../ui/icon";
import { useKeys } from "../ui/keys";
import { Dialog, Empty, Fact, Facts, Head, Problem, Skeleton, useLoad, useTitle } from "../ui/parts";
import { State } from "../ui/state";
import { A, Code, Copy, Time, visible } from "../ui/text";

interface Proof { state: "proven" | "open" | "erased" | "failed"; message?: string; events?: number; index: number; sessions?: number; checkpoint?: string; public?: string }
interface Hit { op: number; at: number; line: string }

/** A time in a recording: 1:02:03. */
export function stamp(ms: number): string {
  const s = Math.floor(ms / 1000), h = Math.floor(s / 3600), two = (n: number) => String(n).padStart(2, "0");
  return (h ? `${h}:${two(Math.floor((s % 3600) / 60))}` : `${Math.floor(s / 60)}`) + ":" + two(s % 60);
}

export default function ReplayPage({ id }: { id: string }) {
  const live = sessions.value?.get(id);
  const [whole, setWhole] = useState(false);
  const loaded = useLoad<Recording>((s) => get(at`/v1/recordings/${id}`, s), id);
  const r = loaded.value;
  useTitle("Replay of " + id);
  if (!r) return loaded.missing ? <><Head title="No such recording" /><Empty icon="search" title="There is no recording of this identifier that you may see">It may have been somebody else's, or was erased. <A to="/sessions">All sessions</A></Empty></> : loaded.problem ? <Problem of={loaded.problem} again={loaded.again} /> : <Skeleton />;
  const follow = !!live && !whole && may(me.value, "watch");
  return (
    <>
      <A to={"/sessions/" + id} class="crumb"><Icon name="arrowLeft" size={14} />The session</A>
      <Head title={<><bdi>{visible(r.user)}</bdi> at <bdi>{visible(r.resource)}</bdi></>} about={<>{follow ? "As it happens, since " : "Recorded from "}<Time at={r.start} seconds /></>}>
        <Proven id={id} />
        {live && may(me.value, "watch") && <button type="button" onClick={() => setWhole(!whole)}>{follow ? <><Icon name="history" />Replay</> : <><Icon name="activity" />Watch live</>}</button>}
      </Head>
      {follow ? <Live id={id} /> : <Replay id={id} of={r} />}
    </>
  );
}

/** Whether the record is proven. */
function Proven({ id }: { id: string }) {
  const loaded = useLoad<Proof>((s) => get(at`/v1/recordings/${id}/proof`, s), id);
  const [open, setOpen] = useState(false);
  const p = loaded.value;
  if (!p) return null;
  const tone = { proven: "allow", erased: "allow", open: "info", failed: "deny" } as const, word = { proven: "proven", erased: "erased, proven", open: "not sealed yet", failed: "not proven" };
  return (
    <>
      <button type="button" class="quiet" onClick={() => setOpen(true)}><State tone={tone[p.state]} icon={p.state === "failed" ? "shieldAlert" : p.state === "open" ? "clock" : "shieldCheck"} word={word[p.state]} /></button>
      {open && (
        <Dialog title="Is this what was recorded?" close={() => setOpen(false)} wide>
          <div class="stack">
            {p.message && <p>{visible(p.message)}</p>}
            {p.checkpoint && <>
              <p>The record is whole and as it was sealed, and it is one of the {p.sessions!.toLocaleString("en")} sessions that the signed head below is of.</p>
              <Facts><Fact word="Events"><span class="num">{p.events!.toLocaleString("en")}</span></Fact><Fact word="Place in the log"><span class="num">{(p.index + 1).toLocaleString("en")}</span></Fact></Facts>
              <Code text={p.checkpoint} label="Signed head" /><Code text={p.public ?? ""} label="Key" />
              <p class="dim">This key lies in the gateway's own log. An auditor compares it with a copy of her own: <code>sallyport verify --key</code>.</p>
            </>}
          </div>
        </Dialog>
      )}
    </>
  );
}

function Replay({ id, of: r }: { id: string; of: Recording }) {
  const place = useRef<HTMLDivElement>(null);
  const [player, setPlayer] = useState<Player | null>(null);
  const [state, setState] = useState<"loading" | "ready">("loading");
  const [problem, setProblem] = useState("");
  const [missing, setMissing] = useState(false);
  const op = query.value.get("op") ?? "";
  useEffect(() => {
    const p = new Player("What was shown");
    const stop = new AbortController();
    setPlayer(p);
    setProblem("");
    setMissing(false);
    setState("loading");
    const want = Number(new URLSearchParams(location.search).get("t")) * 1000 || 0;
    let there = false;
    load(id, op, stop.signal, (head, pieces, done) => {
      p.take(head, pieces);
      if (!there && (done || p.length.value >= want)) { there = true; setState("ready"); p.seek(want); }
    }).catch((e) => {
      if (stop.signal.aborted) return;
      if (e.status === 404) setMissing(true); else setProblem(e.message);
      setState("ready");
    });
    return () => { stop.abort(); p.dispose(); };
  }, [id, op]);
  useEffect(() => { if (player && place.current && !missing) player.screen.show(place.current); }, [player, missing, state]);
  useKeys(() => {
    if (!player) return null;
    const by = (ms: number) => () => player.seek(player.at.value + ms);
    return { " ": () => (player.playing.value ? player.pause() : player.play()), ArrowRight: by(5000), ArrowLeft: by(-5000), l: by(10_000), h: by(-10_000), ".": () => player.seek(player.length.value), "0": () => player.seek(0) };
  }, [player]);
  if (missing) return <Empty icon="eye" title="Nothing was recorded that was shown">Statements and commands are listed in <A to={"/sessions/" + id}>the session</A>, whatever is recorded of what they showed. The rules of recording say what that is.</Empty>;
  return (
    <>
      {problem && <Problem of={problem} />}
      {player && state === "ready" && <Controls of={player} id={id} recording={r} />}
      <div class="replay">
        <div class="place played" ref={place}>{state === "loading" && <Skeleton rows={4} />}</div>
        {player && state === "ready" && <Aside of={player} id={id} recording={r} />}
      </div>
    </>
  );
}

/** The time line: how much was shown when, what was asked, and where one is. */
function Controls({ of: p, id, recording: r }: { of: Player; id: string; recording: Recording }) {
  const canvas = useRef<HTMLCanvasElement>(null);
  const length = p.length.value, now = p.at.value;
  useEffect(() => {
    const el = canvas.current!;
    const draw = () => {
      const w = el.clientWidth, h = el.clientHeight, ratio = devicePixelRatio || 1;
      el.width = w * ratio;
      el.height = h * ratio;
      const c = el.getContext("2d")!, style = getComputedStyle(el);
      c.scale(ratio, ratio);
      c.fillStyle = style.color;
      const n = Math.max(20, Math.floor(w / 4));
      p.density(n).forEach((d, i) => { const x = (i * w) / n; c.fillRect(x, h - d * h, Math.max(1, w / n - 1), d * h); });
      const begun = Date.parse(r.start) || 0, first = p.head?.op;
      for (const o of r.operations) {
        if (!first || o.kind !== "input") continue;
        const t = Date.parse(o.at) - begun;
        c.fillStyle = o.state === "refused" ? style.getPropertyValue("--deny") : style.getPropertyValue("--ink");
        c.fillRect((t / (length || 1)) * w, 0, 1, h / 3);
      }
    };
    draw();
    const watch = new ResizeObserver(draw);
    watch.observe(el);
    return () => watch.disconnect();
  }, [p, length]);
  const playing = p.playing.value;
  return (
    <div class="player" role="group" aria-label="Player">
      <div class="line">
        <button type="button" class="primary" onClick={() => (playing ? p.pause() : p.play())}><Icon name={playing ? "pause" : "play"} />{playing ? "Pause" : "Play"}</button>
        <span class="num">{stamp(now)} <span class="dim">of {stamp(length)}</span></span>
        <label class="line"><span class="away">Speed</span><select aria-label="Speed" value={String(p.speed.value)} onChange={(e) => { p.speed.value = Number(e.currentTarget.value); }}>{speeds.map((s) => <option key={s} value={s}>{s} ×</option>)}</select></label>
        <label class="check"><input type="checkbox" checked={p.skip.value} onChange={(e) => { p.skip.value = e.currentTarget.checked; }} />Skip pauses</label>
        <span class="dim num">{p.size.value}</span>
        <span class="grow" />
        <Copy text={location.origin + location.pathname + "?" + new URLSearchParams({ ...(query.value.get("op") ? { op: query.value.get("op")! } : {}), t: String(Math.floor(now / 1000)) })} label="Copy a link to this moment" />
        <Downloads id={id} op={p.head?.op} cast={p.head?.stream === "terminal"} />
      </div>
      <div class="timeline-bar">
        <canvas ref={canvas} aria-hidden="true" />
        <input type="range" aria-label="Place in the recording" aria-valuetext={`${stamp(now)} of ${stamp(length)}`} min={0} max={Math.max(1, length)} step={100} value={now} onInput={(e) => p.seek(Number(e.currentTarget.value))} onChange={() => setQuery({ t: String(Math.floor(p.at.value / 1000)) })} />
      </div>
    </div>
  );
}

function Downloads({ id, op, cast }: { id: string; op?: number; cast: boolean }) {
  const q = op ? `?op=${op}` : "";
  return (
    <>
      <a class="button small" href={api + at`/v1/recordings/${id}/text` + q} download><Icon name="fileText" size={14} />Transcript</a>
      {cast && <a class="button small" href={api + at`/v1/recordings/${id}/cast` + q} download><Icon name="download" size={14} />asciicast</a>}
    </>
  );
}

function Aside({ of: p, id, recording: r }: { of: Player; id: string; recording: Recording }) {
  const [text, setText] = useState(query.value.get("find") ?? "");
  const [hits, setHits] = useState<{ list: Hit[]; more: boolean; of: string } | null>(null);
  const [problem, setProblem] = useState("");
  const op = p.head?.op;
  const find = async (what: string) => {
    setProblem("");
    if (!what.trim()) { setHits(null); return; }
    try {
      const a = await get<{ hits: Hit[]; more?: boolean }>(at`/v1/recordings/${id}/find` + `?text=${encodeURIComponent(what)}` + (op ? `&op=${op}` : ""));
      setHits({ list: a.hits, more: !!a.more, of: what });
    } catch (e) { setProblem((e as Error).message); }
  };
  useEffect(() => { if (text) find(text); }, []);
  const begun = Date.parse(r.start);
  const lines = r.operations.filter((o: Operation) => o.kind === "input" || o.kind === "exec" || o.kind === "shell");
  const goTo = (ms: number) => { p.pause(); p.seek(ms); setQuery({ t: String(Math.floor(ms / 1000)) }); };
  return (
    <section class="aside panel" aria-label="What was asked and shown">
      <form role="search" class="finder" onSubmit={(e) => { e.preventDefault(); setQuery({ find: text || null }); find(text); }}>
        <input type="search" aria-label="Find in what was shown" placeholder="Find in what was shown" maxLength={200} value={text} onInput={(e) => { setText(e.currentTarget.value); if (!e.currentTarget.value) { setHits(null); setQuery({ find: null }); } }} /><button type="submit" class="small">Find</button>
      </form>
      {problem && <Problem of={problem} />}
      {hits ? (
        <>
          <p class="small dim pad" role="status">{hits.list.length ? `${hits.list.length}${hits.more ? " and more" : ""} places` : `“${visible(hits.of)}” was not shown.`}</p>
          <ul class="moments" tabindex={0} aria-label="Places">{hits.list.map((h, i) => <li key={i}><button type="button" class="quiet" onClick={() => goTo(h.at)}><span class="num dim">{stamp(h.at)}</span><code class="cut">{visible(h.line)}</code></button></li>)}</ul>
        </>
      ) : (
        <ul class="moments" tabindex={0} aria-label="What was asked">
          {lines.map((o) => <li key={o.op}><button type="button" class="quiet" onClick={() => goTo(Math.max(0, Date.parse(o.at) - begun - 300))}><span class="num dim">{stamp(Math.max(0, Date.parse(o.at) - begun))}</span>{o.state === "refused" && <State tone="deny" icon="circleX" word="refused" />}<code class="cut">{visible(o.text || o.kind)}</code></button></li>)}
          {!lines.length && <li class="dim small pad">No command was asked about by itself.</li>}
        </ul>
      )}
    </section>
  );
}

/** An open session as it happens. What is shown is what is on record: masked as its user sees it. */
function Live({ id }: { id: string }) {
  const place = useRef<HTMLDivElement>(null);
  const [lines, setLines] = useState<{ n: number; at: string; text: string; refused: boolean }[]>([]);
  const [over, setOver] = useState("");
  const [killing, setKilling] = useState(false);
  const [terminal, setTerminal] = useState(false);
  const live = sessions.value?.get(id);
  useEffect(() => {
    const screen = new Screen(true, "What is shown now");
    screen.fits = false;
    const stop = new AbortController();
    let n = 0, stream = 0;
    let asked: typeof lines = [], timer = 0;
    screen.show(place.current!);
    watch(id, stop.signal, (e) => {
      if (e.type === "recording.start" && e.stream !== "rows" && e.stream !== "copy") { stream = e.op!; setTerminal(true); screen.term.resize(e.width || 80, e.height || 24); }
      if (e.type === "recording.resize" && e.op === stream && e.width && e.height) screen.term.resize(e.width, e.height);
      if (e.type === "recording.output" && e.op === stream) screen.term.write(content(e));
      if (e.type === "operation.start" || e.type === "operation.refused") {
        asked = [...asked, { n: ++n, at: e.t, text: e.text || e.kind || "", refused: e.type === "operation.refused" }].slice(-500);
        clearTimeout(timer);
        timer = setTimeout(() => setLines(asked), 50);
      }
      if (e.type === "session.end") setOver(e.error ? `It has ended: ${e.error}.` : "It has ended.");
    }).then(() => setOver((o) => o || "It has ended.")).catch((e) => { if (!stop.signal.aborted) setOver(e.message ?? "It is not sent any more."); });
    return () => { stop.abort(); clearTimeout(timer); screen.dispose(); };
  }, [id]);
  return (
    <>
      <div class="statusbar" role="toolbar" aria-label="Watching">{over ? <State tone="off" icon="check" word="ended" /> : <State tone="live" icon="record" word="live" />}<span class="dim small">That you watch is on record.</span><span class="grow" />
        {live && <StepIn of={live} />}
        {live && may(me.value, "kill") && <button type="button" class="deny small" onClick={() => setKilling(true)}><Icon name="ban" size={14} />End it</button>}</div>
      <Frozen id={id} />
      {over && <div class="banner" role="status" data-tone="off"><Icon name="info" /><span>{visible(over)}</span></div>}
      <div class="replay">
        <div class="place played" ref={place} hidden={!terminal} />
        <section class="aside panel" aria-label="What is asked"><ul class="moments" tabindex={0} aria-label="What is asked">
          {lines.map((l) => <li key={l.n} class="line pad-s"><Time at={l.at} seconds />{l.refused && <State tone="deny" icon="circleX" word="refused" />}<code class="cut">{visible(l.text)}</code></li>)}
          {!lines.length && <li class="dim small pad">Nothing was asked yet.</li>}
        </ul></section>
      </div>
      {killing && live && <KillDialog of={live} close={() => setKilling(false)} />}
    </>
  );
}
