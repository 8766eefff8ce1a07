import { useState } from "preact/hooks";
import { get, post } from "../api";
import { me } from "../me";
import { query, setQuery } from "../router";
import type { Group, User } from "../types";
import { Icon } from "../ui/icon";
import { List, type Column } from "../ui/list";
import { Dialog, Empty, Fact, Facts, Field, Head, Problem, Skeleton, useDoing, useLoad, useTitle } from "../ui/parts";
import { State } from "../ui/state";
import { Time, visible } from "../ui/text";
import { say } from "../ui/toast";

const groups = (u: User) => [...new Set([...(u.given ?? []), ...(u.groups ?? [])])];

export function UserState({ of: u }: { of: User }) {
  return u.disabled ? <State tone="deny" icon="ban" word="disabled" /> : <State tone="allow" icon="circleCheck" word="enabled" />;
}

const columns: Column<User>[] = [
  { head: "State", width: "104px", cell: (u) => <UserState of={u} /> },
  { head: "Subject", width: "minmax(120px, 1fr)", cell: (u) => <button type="button" class="link strong" onClick={() => setQuery({ user: u.subject })}><bdi>{visible(u.subject)}</bdi></button> },
  { head: "Name", width: "minmax(100px, 1fr)", wide: true, cell: (u) => <bdi>{visible(u.name ?? "")}</bdi> },
  { head: "Groups", width: "minmax(120px, 2fr)", wide: true, cell: (u) => <span class="chips">{groups(u).map((g) => <span key={g} class="chip">{visible(g)}</span>)}</span> },
  { head: "Last login", width: "140px", wide: true, cell: (u) => <Time at={u.seen} /> },
];

export default function Users() {
  useTitle("Users");
  const loaded = useLoad<{ users: User[] }>((s) => get("/v1/users", s));
  const text = query.value.get("q") ?? "", shown = query.value.get("user"), byGroup = query.value.get("view") === "groups";
  const words = text.toLowerCase().split(/\s+/).filter(Boolean);
  const list = (loaded.value?.users ?? []).filter((u) => words.every((w) => [u.subject, u.name, ...groups(u)].join(" ").toLowerCase().includes(w)));
  const user = loaded.value?.users.find((u) => u.subject === shown);
  return (
    <>
      <Head title="Users" about="Those who have logged in, or were given something here. People of the config file appear once they have logged in.">
        <input type="search" aria-label="Find a user" placeholder="Name or group" value={text} onInput={(e) => setQuery({ q: e.currentTarget.value })} />
        <select aria-label="View" value={byGroup ? "groups" : ""} onChange={(e) => setQuery({ view: e.currentTarget.value })}><option value="">People</option><option value="groups">Groups</option></select>
      </Head>
      {loaded.problem && <Problem of={loaded.problem} again={loaded.again} />}
      {byGroup ? <Groups words={words} /> : !loaded.value ? !loaded.problem && <Skeleton /> : (
        <List items={list} id={(u) => u.subject} columns={columns} label="Users" open={(u) => setQuery({ user: u.subject })}
          empty={<Empty icon="users" title={text ? "Nobody fits" : "Nobody has logged in yet"}>{text ? "Change the words." : "Who logs in appears here, with her groups."}</Empty>} />
      )}
      {user && <UserDialog of={user} close={() => setQuery({ user: null })} again={loaded.again} />}
    </>
  );
}

const groupColumns: Column<Group>[] = [
  { head: "Group", width: "minmax(140px, 1fr)", cell: (g) => <bdi class="strong">{visible(g.name)}</bdi> },
  { head: "Members", width: "88px", end: true, cell: (g) => <span class="num">{g.members.length}</span> },
  { head: "Who", width: "minmax(120px, 3fr)", wide: true, cell: (g) => <span class="chips">{g.members.map((m) => <span key={m} class="chip">{visible(m)}</span>)}</span> },
];

function Groups({ words }: { words: string[] }) {
  const loaded = useLoad<{ groups: Group[] }>((s) => get("/v1/groups", s));
  if (!loaded.value) return loaded.problem ? <Problem of={loaded.problem} again={loaded.again} /> : <Skeleton />;
  const list = loaded.value.groups.filter((g) => words.every((w) => (g.name + " " + g.members.join(" ")).toLowerCase().includes(w)));
  return <List items={list} id={(g) => g.name} columns={groupColumns} label="Groups" open={(g) => setQuery({ view: null, q: g.name })} empty={<Empty icon="users" title="There is no group" />} />;
}

/** Somebody, and what an administrator does to her. Everything takes a reason, and nobody does it to herself. */
function UserDialog({ of: u, close, again }: { of: User; close: () => void; again: () => void }) {
  const [reason, setReason] = useState("");
  const [assigned, setAssigned] = useState((u.groups ?? []).join(" "));
  const doing = useDoing();
  const self = u.subject === me.value?.subject;
  const act = (path: string, said: string, more = {}) => doing.run(async () => { await post(path, { subject: u.subject, reason, ...more }); say(said); again(); });
  const next = assigned.split(/[\s,]+/).filter(Boolean);
  const changed = next.join(" ") !== (u.groups ?? []).join(" ");
  const off = doing.busy || !reason.trim();
  return (
    <Dialog title={u.name || u.subject} close={close} wide>
      <div class="stack">
        <Facts>
          <Fact word="Subject"><code>{visible(u.subject)}</code> <UserState of={u} /></Fact>
          <Fact word="Given groups"><span class="chips">{u.given?.length ? u.given.map((g) => <span key={g} class="chip">{visible(g)}</span>) : "none"}</span></Fact>
          <Fact word="Last login"><Time at={u.seen} /></Fact>
        </Facts>
        {self ? <p class="dim">This is you. Another administrator changes what you may do.</p> : (
          <>
            <Field id="user-groups" label="Assigned groups" hint="They begin with local:. Blanks are between them."><input id="user-groups" spellcheck={false} autocapitalize="none" aria-describedby="user-groups-hint" value={assigned} onInput={(e) => setAssigned(e.currentTarget.value)} /></Field>
            <Field id="user-reason" label="Reason" hint="It is on record."><input id="user-reason" maxLength={1000} aria-describedby="user-reason-hint" value={reason} onInput={(e) => setReason(e.currentTarget.value)} /></Field>
            {doing.problem && <Problem of={doing.problem} />}
            <div class="buttons">
              <button type="button" class="primary" disabled={off || !changed} onClick={() => act("/v1/user/groups", "Groups assigned.", { groups: next })}>Assign groups</button>
              <button type="button" disabled={off} onClick={() => act("/v1/user/logout", "Her logins have ended, and her tokens are revoked.")}><Icon name="logOut" />End logins</button>
              <button type="button" disabled={off} onClick={() => act("/v1/user/factors", "Her second factor is gone.")}>Reset second factor</button>
              {u.disabled ? <button type="button" disabled={off} onClick={() => act("/v1/user/enable", "Enabled.")}>Enable</button>
                : <button type="button" class="deny" disabled={off} onClick={() => act("/v1/user/disable", "Disabled; her sessions end.")}><Icon name="ban" />Disable</button>}
            </div>
          </>
        )}
      </div>
    </Dialog>
  );
}
