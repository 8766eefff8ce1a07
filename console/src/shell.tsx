import type { ComponentChildren } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";
import { title } from "./base";
import { decides } from "./decide";
import { ahead, connected, requests } from "./live";
import { leave, me } from "./me";
import { placesOf } from "./nav";
import { density, letters, theme } from "./prefs";
import { go, path } from "./router";
import { Icon, Mark } from "./ui/icon";
import { useKeys } from "./ui/keys";
import { Dialog } from "./ui/parts";
import { Palette } from "./ui/palette";
import { A, span, tick } from "./ui/text";

export function Shell({ children }: { children: ComponentChildren }) {
  const who = me.value!;
  const [open, setOpen] = useState<"" | "palette" | "keys" | "account" | "menu">("");
  const close = () => setOpen("");
  const main = useRef<HTMLElement>(null);
  const first = useRef(true);
  const all = placesOf(who);
  const at = path.value;
  const waiting = [...(requests.value?.values() ?? [])].filter(decides).length;
  const current = (to: string) => (to === "/" ? at === "/" : at === to || at.startsWith(to + "/"));

  useKeys(() => ({
    "mod+k": () => setOpen("palette"), "/": () => setOpen("palette"), "?": () => setOpen("keys"),
    ...Object.fromEntries(all.map((p) => ["g " + p.key, () => go(p.to)])),
  }), [who]);
  useEffect(() => { // who listens is told of the new page
    if (first.current) { first.current = false; return; }
    setOpen("");
    main.current?.querySelector<HTMLElement>("h1")?.focus({ preventScroll: true });
  }, [at]);

  return (
    <div class="shell">
      <a class="skip" href="#main" onClick={(e) => { e.preventDefault(); main.current?.focus(); }}>Skip to the content</a>
      <header class="topbar">
        <A to="/" class="brand" label={`${title}: home`}><Mark /><span>{title}</span></A>
        <button type="button" class="find" onClick={() => setOpen("palette")}><Icon name="search" /><span>Go to or find</span><kbd>Ctrl K</kbd></button>
        <button type="button" class="quiet account" onClick={() => setOpen("account")} aria-haspopup="dialog"><Icon name="user" /><bdi>{who.name || who.subject}</bdi></button>
        <button type="button" class="quiet icon-only burger" onClick={() => setOpen("menu")} aria-label="Menu" aria-haspopup="dialog"><Icon name="menu" /></button>
      </header>
      <nav class="side" aria-label="Main">
        {all.map((p, i) => (
          <div key={p.to} class="nav-item">
            {p.group && p.group !== all[i - 1]?.group && <p class="nav-group">{p.group}</p>}
            <A to={p.to} current={current(p.to)}><Icon name={p.icon} /><span>{p.word}</span>{p.to === "/requests" && waiting > 0 && <span class="count" title={`${waiting} wait for you`}>{waiting}<span class="away"> wait for you</span></span>}</A>
          </div>
        ))}
        <div class="grow" />
        <button type="button" class="quiet" onClick={() => setOpen("keys")}><kbd>?</kbd><span>Keys</span></button>
      </nav>
      <main id="main" ref={main} tabindex={-1}>
        <Banners />
        {children}
      </main>
      {open === "palette" && <Palette close={close} />}
      {open === "keys" && <Keys close={close} />}
      {open === "account" && <Account close={close} />}
      {open === "menu" && (
        <Dialog title="Menu" close={close}>
          <nav class="menu" aria-label="All pages">
            {all.map((p) => <A key={p.to} to={p.to} current={current(p.to)}><Icon name={p.icon} /><span>{p.word}</span></A>)}
            <button type="button" class="quiet" onClick={() => setOpen("account")}><Icon name="user" /><span>{who.name || who.subject}</span></button>
          </nav>
        </Dialog>
      )}
    </div>
  );
}

function Banners() {
  tick.value;
  const expires = Date.parse(me.value?.expires ?? ""), left = expires - Date.now() - ahead.value;
  return (
    <>
      {connected.value === "no" && <div class="banner" role="status" data-tone="review"><Icon name="triangleAlert" />The gateway cannot be reached. What you see may be old; it is tried again.</div>}
      {ahead.value !== 0 && <div class="banner" role="status" data-tone="review"><Icon name="clock" />This machine's clock is {span(Math.abs(ahead.value))} {ahead.value > 0 ? "behind" : "ahead of"} the gateway's. Times are shown as the gateway has them.</div>}
      {left > 0 && left < 300_000 && <div class="banner" role="status" data-tone="review"><Icon name="timer" />Your login ends in {span(left)}. Finish what you are writing.</div>}
    </>
  );
}

function Keys({ close }: { close: () => void }) {
  const rows: [string, string][] = [
    ["Ctrl K  or  /", "go to a page, find a connection, request or session"],
    ["j  k", "next, previous row"], ["o  or  Enter", "open the row"],
    ["a", "approve the request of the row"], ["d", "deny the request of the row"], ["?", "this list"],
    ...placesOf(me.value!).map((p): [string, string] => ["g  " + p.key, "to " + p.word]),
  ];
  return (
    <Dialog title="Keys" close={close}>
      <table class="keys"><tbody>{rows.map(([k, what]) => <tr key={k}><th scope="row">{k.split("  ").map((x) => (x === "or" ? " or " : <kbd key={x}>{x}</kbd>))}</th><td>{what}</td></tr>)}</tbody></table>
      <label class="check"><input type="checkbox" checked={letters.value === "on"} onChange={(e) => { letters.value = e.currentTarget.checked ? "on" : "off"; }} />Keys of one letter do something</label>
    </Dialog>
  );
}

function Choice<T extends string>({ label, of, all }: { label: string; of: { value: T }; all: readonly T[] }) {
  return (
    <fieldset class="choice"><legend>{label}</legend>
      {all.map((v) => <label key={v}><input type="radio" name={label} checked={of.value === v} onChange={() => { of.value = v; }} /><span>{v}</span></label>)}
    </fieldset>
  );
}

function Account({ close }: { close: () => void }) {
  const who = me.value!;
  return (
    <Dialog title="You" close={close}>
      <dl class="facts">
        <dt>User</dt><dd><bdi>{who.name || who.subject}</bdi>{who.name && who.name !== who.subject && <span class="dim"> <bdi>{who.subject}</bdi></span>}</dd>
        <dt>Groups</dt><dd>{who.groups?.length ? <span class="chips">{who.groups.map((g) => <span key={g} class="chip"><bdi>{g}</bdi></span>)}</span> : "none"}</dd>
        <dt>Proven by</dt><dd>{who.method}</dd>
      </dl>
      <Choice label="Colours" of={theme} all={["system", "light", "dark"]} />
      <Choice label="Rows" of={density} all={["compact", "default", "comfortable"]} />
      <p class="pad-b"><A to="/you">Password, second factor, proving yourself again</A></p>
      <div class="buttons"><button type="button" onClick={() => { close(); leave(); }}><Icon name="logOut" />Sign out</button><button type="button" class="quiet" onClick={() => { close(); leave(true); }}>Sign out everywhere</button></div>
    </Dialog>
  );
}
