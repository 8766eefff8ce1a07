import { useLayoutEffect, useRef, useState } from "preact/hooks";
import { api, title } from "./base";
import { ended, enter, server } from "./me";
import { Icon, Mark } from "./ui/icon";
import { Field, Problem, useDoing, useTitle } from "./ui/parts";

export function SignIn() {
  useTitle("Sign in");
  const s = server.value;
  const [user, setUser] = useState("");
  const [password, setPassword] = useState("");
  const [code, setCode] = useState("");
  const doing = useDoing();
  const box = useRef<HTMLDivElement>(null);
  useLayoutEffect(() => ((!s.providers?.length && box.current?.querySelector<HTMLElement>("#user")) || box.current?.querySelector("h1"))?.focus(), []);
  const back = location.pathname + location.search;
  const submit = async (e: Event) => {
    e.preventDefault();
    const ok = await doing.run(() => enter(user, password, code));
    if (!ok) { setPassword(""); setCode(""); box.current?.querySelector<HTMLInputElement>("#password")?.focus(); }
  };
  return (
    <main class="alone" id="main">
      <div class="card signin" ref={box}>
        <div class="brand"><Mark /><span>{title}</span></div>
        <h1 tabindex={-1}>Sign in</h1>
        {ended.value && <div class="banner" role="status" data-tone="review"><Icon name="timer" />{ended.value}</div>}
        {s.providers?.map((p) => (
          <a key={p.name} class="button primary" href={`${api}/auth/${encodeURIComponent(p.name)}/login?return=${encodeURIComponent(back)}`}>
            <Icon name="logOut" />Continue with <bdi>{p.name}</bdi></a>
        ))}
        {s.providers?.length && s.passwords ? <p class="or"><span>or as a local user</span></p> : null}
        {s.passwords && (
          <form onSubmit={submit}>
            <Field id="user" label="User"><input id="user" name="username" autocomplete="username" autocapitalize="none" spellcheck={false} required maxLength={200} value={user} onInput={(e) => setUser(e.currentTarget.value)} /></Field>
            <Field id="password" label="Password"><input id="password" name="password" type="password" autocomplete="current-password" required maxLength={1000} value={password} onInput={(e) => setPassword(e.currentTarget.value)} /></Field>
            <Field id="code" label="Code" hint="Of your app, when you have set up a second factor; or a recovery code.">
              <input id="code" name="code" inputMode="text" autocomplete="one-time-code" maxLength={40} aria-describedby="code-hint" value={code} onInput={(e) => setCode(e.currentTarget.value)} /></Field>
            {doing.problem && <Problem of={doing.problem} />}
            <button type="submit" class={s.providers?.length ? "" : "primary"} disabled={doing.busy}>{doing.slow ? "Checking …" : "Sign in"}</button>
          </form>
        )}
        {!s.providers?.length && !s.passwords && <p class="dim">Nobody can sign in here: the gateway's configuration has neither an identity provider nor local users.</p>}
      </div>
      <p class="dim small">What you do through this gateway may be recorded.</p>
    </main>
  );
}
