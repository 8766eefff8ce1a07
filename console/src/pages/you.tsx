import { useState } from "preact/hooks";
import { get, post } from "../api";
import { me } from "../me";
import { StepUp } from "../stepup";
import { Icon } from "../ui/icon";
import { Empty, Fact, Facts, Field, Head, Problem, Skeleton, useDoing, useLoad, useTitle } from "../ui/parts";
import { State } from "../ui/state";
import { Code, Time } from "../ui/text";
import { say } from "../ui/toast";

interface Factors { password?: string; totp?: { since: string; used?: string; recovery_codes: number } }

/** How somebody proves who she is, and what she changes of it herself. */
export default function You() {
  useTitle("You");
  const loaded = useLoad<Factors>((s) => get("/v1/me/factors", s));
  const who = me.value!;
  return (
    <>
      <Head title="You" about="How you prove who you are, and what you change of it yourself." />
      <div class="split">
        <div class="stack">
          {loaded.missing ? <Empty icon="user" title="Your company's provider proves who you are">Change your password and your second factor there.</Empty>
            : !loaded.value ? loaded.problem ? <Problem of={loaded.problem} again={loaded.again} /> : <Skeleton rows={4} />
            : <><Factor of={loaded.value} again={loaded.again} /><Password of={loaded.value} again={loaded.again} /></>}
        </div>
        <div class="stack">
          <section class="panel" aria-label="Facts"><div class="body"><Facts>
            <Fact word="User"><bdi>{who.name || who.subject}</bdi></Fact>
            <Fact word="Subject"><code>{who.subject}</code></Fact>
            <Fact word="Groups"><span class="chips">{who.groups?.length ? who.groups.map((g) => <span key={g} class="chip"><bdi>{g}</bdi></span>) : "none"}</span></Fact>
            <Fact word="Proven by">{who.method}</Fact>
            <Fact word="Login ends"><Time at={who.expires} /></Fact>
            {who.permissions?.length ? <Fact word="Permissions"><span class="chips">{who.permissions.map((p) => <span key={p} class="chip">{p}</span>)}</span></Fact> : null}
          </Facts></div></section>
          <section class="panel" aria-label="Prove yourself again"><header><Icon name="shieldCheck" /><h2>Prove yourself again</h2></header><div class="body"><StepUp /></div></section>
        </div>
      </div>
    </>
  );
}

/** Fields by which she proves herself once more. */
function useAgain(id: string, coded: boolean) {
  const [password, setPassword] = useState("");
  const [code, setCode] = useState("");
  const fields = (
    <>
      <Field id={id + "-password"} label="Your password"><input id={id + "-password"} type="password" required autocomplete="current-password" maxLength={1000} value={password} onInput={(e) => setPassword(e.currentTarget.value)} /></Field>
      {coded && <Field id={id + "-code"} label="A code of your app, or a recovery code"><input id={id + "-code"} required autocomplete="one-time-code" maxLength={40} value={code} onInput={(e) => setCode(e.currentTarget.value)} /></Field>}
    </>
  );
  return { fields, body: { password, code: code || undefined }, clear: () => { setPassword(""); setCode(""); } };
}

function Codes({ of: codes }: { of: string[] }) {
  return <><p>Each of these recovery codes counts once, in the place of a code. They are not shown again.</p><Code text={codes.join("\n")} label="Recovery codes" /></>;
}

function Factor({ of: f, again }: { of: Factors; again: () => void }) {
  const proof = useAgain("factor", !!f.totp);
  const [url, setURL] = useState("");
  const [code, setCode] = useState("");
  const [codes, setCodes] = useState<string[]>([]);
  const doing = useDoing();
  const secret = url ? new URL(url).searchParams.get("secret") ?? "" : "";
  const begin = (e: Event) => { e.preventDefault(); doing.run(async () => { setURL((await post<{ url: string }>("/v1/me/totp", proof.body)).url); proof.clear(); }); };
  const confirm = (e: Event) => { e.preventDefault(); doing.run(async () => { const r = await post<{ recovery_codes: string[] }>("/v1/me/totp/confirm", { code }); setURL(""); setCode(""); setCodes(r.recovery_codes); say("Your second factor counts from now on."); again(); }); };
  const renew = () => doing.run(async () => { setCodes((await post<{ recovery_codes: string[] }>("/v1/me/recovery-codes", proof.body)).recovery_codes); proof.clear(); again(); });
  const remove = () => doing.run(async () => { await post("/v1/me/totp/remove", proof.body); proof.clear(); setCodes([]); say("Your second factor is gone."); again(); });
  return (
    <section class="panel" aria-label="Second factor"><header><Icon name="keyRound" /><h2>Second factor</h2><span class="end">{f.totp ? <State tone="allow" icon="shieldCheck" word="set up" /> : <State tone="review" icon="triangleAlert" word="none" />}</span></header><div class="body stack">
      {codes.length > 0 && <Codes of={codes} />}
      {url ? (
        <form class="stack" onSubmit={confirm}>
          <p>Have your app read this address, or type the secret into it. Neither is shown again.</p>
          <Code text={secret.replace(/(.{4})/g, "$1 ").trim()} label="Secret" /><Code text={url} label="Address for the app" />
          <Field id="factor-confirm" label="The code that the app shows now"><input id="factor-confirm" required inputMode="numeric" autocomplete="one-time-code" maxLength={10} value={code} onInput={(e) => setCode(e.currentTarget.value)} /></Field>
          {doing.problem && <Problem of={doing.problem} />}
          <div class="buttons"><button type="submit" class="primary" disabled={doing.busy || !code}>Have it count</button><button type="button" class="quiet" onClick={() => setURL("")}>Cancel</button></div>
        </form>
      ) : (
        <form class="stack" onSubmit={f.totp ? (e) => { e.preventDefault(); renew(); } : begin}>
          {f.totp ? <p>Codes of an app, since <Time at={f.totp.since} />. {f.totp.recovery_codes} recovery codes are left.</p> : <p>With codes of an app on your phone, a stolen password alone opens nothing.</p>}
          {proof.fields}
          {doing.problem && <Problem of={doing.problem} />}
          <div class="buttons">{f.totp ? <><button type="submit" disabled={doing.busy}>New recovery codes</button><button type="button" class="deny" disabled={doing.busy} onClick={remove}>Take it away</button></> : <button type="submit" class="primary" disabled={doing.busy}>Set it up</button>}</div>
        </form>
      )}
    </div></section>
  );
}

function Password({ of: f, again }: { of: Factors; again: () => void }) {
  const proof = useAgain("change", !!f.totp);
  const [next, setNext] = useState("");
  const doing = useDoing();
  const submit = (e: Event) => {
    e.preventDefault();
    doing.run(async () => {
      const ended = await post<{ logins: number; tokens: number }>("/v1/me/password", { ...proof.body, new: next });
      proof.clear(); setNext("");
      say(`Your password is another one. ${ended.logins} other logins have ended, ${ended.tokens} access tokens go on.`);
      again();
    });
  };
  return (
    <section class="panel" aria-label="Password"><header><Icon name="user" /><h2>Password</h2></header><form class="body stack" onSubmit={submit}>
      {f.password && <p>You have chosen it on <Time at={f.password} />.</p>}
      {proof.fields}
      <Field id="change-new" label="The new one" hint="At least 12 characters. Your other logins end."><input id="change-new" type="password" required minLength={12} maxLength={1000} autocomplete="new-password" aria-describedby="change-new-hint" value={next} onInput={(e) => setNext(e.currentTarget.value)} /></Field>
      {doing.problem && <Problem of={doing.problem} />}
      <div class="buttons"><button type="submit" disabled={doing.busy}>Change it</button></div>
    </form></section>
  );
}
