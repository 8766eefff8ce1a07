import { useState } from "preact/hooks";
import { post } from "./api";
import { api } from "./base";
import { me } from "./me";
import { Field, Problem, useDoing } from "./ui/parts";
import { say } from "./ui/toast";

/** Somebody proves herself again: a local user here, others at their provider. */
export function StepUp({ after }: { after?: () => void }) {
  const [password, setPassword] = useState("");
  const [code, setCode] = useState("");
  const doing = useDoing();
  const provider = me.value?.subject.includes("/") ? me.value.subject.split("/")[0] : "";
  if (provider) {
    const back = encodeURIComponent(location.pathname + location.search);
    return <a class="button" href={`${api}/auth/${encodeURIComponent(provider)}/login?max_age=60&return=${back}`}>Prove yourself again at <bdi>{provider}</bdi></a>;
  }
  return (
    <form onSubmit={(e) => { e.preventDefault(); doing.run(async () => { await post("/v1/me/prove", { password: password || undefined, code: code || undefined }); setPassword(""); setCode(""); say("You have proven yourself again."); after?.(); }); }}>
      <p class="hint">A rule may ask that you have proven yourself lately.</p>
      <Field id="again-password" label="Password"><input id="again-password" type="password" autocomplete="current-password" maxLength={1000} value={password} onInput={(e) => setPassword(e.currentTarget.value)} /></Field>
      <Field id="again-code" label="Code" hint="In the place of the password, with a second factor."><input id="again-code" autocomplete="one-time-code" maxLength={40} aria-describedby="again-code-hint" value={code} onInput={(e) => setCode(e.currentTarget.value)} /></Field>
      {doing.problem && <Problem of={doing.problem} />}
      <button type="submit" disabled={doing.busy || (!password && !code)}>Prove it</button>
    </form>
  );
}
