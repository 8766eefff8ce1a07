import { useRef, useState } from "preact/hooks";
import { bytes } from "../sql/bytes";
import { Icon } from "../ui/icon";
import { State } from "../ui/state";
import { A, visible } from "../ui/text";
import type { Files, Move } from "./files";

/** Files to and from the machine of a terminal. */
export function Transfer({ of: f }: { of: Files }) {
  const [path, setPath] = useState("");
  const [folder, setFolder] = useState("");
  const [over, setOver] = useState(false);
  const choose = useRef<HTMLInputElement>(null);
  f.turn.value;
  const send = (list: FileList | null | undefined) => { for (const x of list ?? []) f.put(x, folder.trim()); };
  return (
    <section class="transfer" aria-label="Files" data-over={over || undefined}
      onDragOver={(e) => { if (e.dataTransfer?.types.includes("Files")) { e.preventDefault(); setOver(true); } }} onDragLeave={() => setOver(false)}
      onDrop={(e) => { e.preventDefault(); setOver(false); send(e.dataTransfer?.files); }}>
      <form class="line" onSubmit={(e) => { e.preventDefault(); if (path.trim()) f.get(path.trim()); }}>
        <input type="text" aria-label="Path of a file on the machine" placeholder="Path of a file on the machine" value={path} maxLength={4096} spellcheck={false} onInput={(e) => setPath(e.currentTarget.value)} />
        <button type="submit" class="small" disabled={!path.trim()}><Icon name="download" size={14} />Download</button>
      </form>
      <form class="line" onSubmit={(e) => { e.preventDefault(); choose.current?.click(); }}>
        <input type="text" aria-label="Folder for files that you send" placeholder="Folder for files that you send: the home folder" value={folder} maxLength={4096} spellcheck={false} onInput={(e) => setFolder(e.currentTarget.value)} />
        <input type="file" multiple class="away" tabindex={-1} aria-label="Files to send" ref={choose} onChange={(e) => { send(e.currentTarget.files); e.currentTarget.value = ""; }} />
        <button type="submit" class="small"><Icon name="send" size={14} />Send files</button>
      </form>
      <p class="dim small">Or drop files here. A file of the same name is replaced. The rules are those of <code>sftp</code>, and what is moved is on record; 256 MiB at most.</p>
      {f.moves.value.length > 0 && <ul aria-label="Files that were moved">{[...f.moves.value].reverse().map((m, i) => <Moved key={f.moves.value.length - i} of={m} cancel={() => f.cancel(m)} />)}</ul>}
    </section>
  );
}

function Moved({ of: m, cancel }: { of: Move; cancel: () => void }) {
  const states = { waiting: ["info", "clock", "waits"], moving: ["info", "clock", m.put ? "sending" : "coming"], held: ["review", "hand", "held"], done: ["allow", "check", m.put ? "sent" : "saved"], failed: ["deny", m.refused ? "ban" : "circleX", m.refused ? "refused" : "failed"] } as const;
  const [tone, icon, word] = states[m.state];
  const open = m.state === "waiting" || m.state === "moving" || m.state === "held";
  return (
    <li>
      <span class="line"><State tone={tone} icon={icon} word={word} /><bdi class="mono cut grow" title={visible(m.path)}>{visible(m.path)}</bdi><span class="num dim">{bytes(m.moved)}{m.size > m.moved && open ? " of " + bytes(m.size) : ""}</span>
        {open && <button type="button" class="quiet small" onClick={cancel} aria-label={"Cancel " + visible(m.path)}><Icon name="x" size={14} />Cancel</button>}</span>
      {m.state === "moving" && m.size > 0 && <progress max={m.size} value={m.moved} aria-label={"Progress of " + visible(m.path)} />}
      {m.held && open && <p class="small">{visible(m.held.message || "This waits for an approval.")} {m.held.request && <A to={"/requests/" + m.held.request}>Request</A>}</p>}
      {m.message && <p class="small bad">{visible(m.message)}{m.put && !m.refused && m.moved > 0 ? " A part of the file may be there." : ""}</p>}
    </li>
  );
}
