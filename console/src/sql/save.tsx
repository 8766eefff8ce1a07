import { useState } from "preact/hooks";
import { Icon } from "../ui/icon";
import { Dialog } from "../ui/parts";
import { State } from "../ui/state";
import { Code, visible } from "../ui/text";
import { bytes } from "./bytes";
import type { Kind, Run } from "./desk";

const reads = /^\s*(select|table|values|with|show|describe|desc|explain)\b/i;

/** Asks for the kind of the file that the rows of a text are saved in. */
export function AskSave({ text, save, close }: { text: string; save: (kind: Kind) => void; close: () => void }) {
  const [kind, setKind] = useState<Kind>("csv");
  const kinds: [Kind, string, string][] = [["csv", "CSV", "for spreadsheets: NULL is empty, and what a spreadsheet could take for a formula begins with an apostrophe"], ["json", "JSON", "an object for each row: values are texts, as the database writes them, or null"]];
  return (
    <Dialog title="Save rows" close={close} wide>
      <form class="stack" method="dialog" onSubmit={(e) => { e.preventDefault(); save(kind); }}>
        <Code text={text} label="Statement" />
        <p>This runs{reads.test(text) ? "" : " again, also what it changes"}, and its rows go into a file. They are masked as they are in the grid. That they are saved is on record.</p>
        {!reads.test(text) && <p class="bad"><Icon name="triangleAlert" size={14} /> This may change data: it does so each time it runs.</p>}
        <fieldset class="stack"><legend class="small dim">Kind of file</legend>
          {kinds.map(([key, word, about]) => <label key={key} class="check"><input type="radio" name="kind" value={key} checked={kind === key} onChange={() => setKind(key)} /><span><span class="strong">{word}</span>, <span class="dim">{about}</span></span></label>)}
        </fieldset>
        <p class="dim small">A file has 1,000,000 rows and 256 MiB at most, and of a value 64 KiB.</p>
        <div class="buttons"><button type="submit" class="primary"><Icon name="download" />Run and save</button><button type="button" class="quiet" onClick={close}>Close</button></div>
      </form>
    </Dialog>
  );
}

/** The files of a run. */
export function Saved({ of: r }: { of: Run }) {
  return (
    <div class="scroll grow pad stack">
      {r.files.map((f) => (
        <div key={f.name} class="stack">
          <p class="line"><State tone={f.url ? "allow" : r.state === "running" ? "info" : "off"} icon={f.url ? "check" : r.state === "running" ? "clock" : "circleSlash"} word={f.url ? "saved" : r.state === "running" ? "saving" : "not saved"} />
            <bdi class="mono">{visible(f.name)}</bdi><span class="num dim">{f.url ? `${f.rows.toLocaleString("en")} rows, ` : ""}{bytes(f.bytes)}</span>
            {f.url && <a class="button small" href={f.url} download={f.name}><Icon name="download" size={14} />Save again</a>}</p>
          {f.cut && <p class="bad"><Icon name="triangleAlert" size={14} /> There were more rows: the file is as long as it may be.</p>}
          {f.short > 0 && <p class="bad"><Icon name="triangleAlert" size={14} /> {f.short.toLocaleString("en")} values are there in part, and say so.</p>}
          {f.sha256 && <p class="dim small">SHA-256, as it is on record: <code class="hash">{f.sha256}</code></p>}
        </div>
      ))}
      {!r.files.length && r.state !== "running" && r.state !== "held" && <p class="dim">There are no rows to save.</p>}
    </div>
  );
}
