import "./style.css";
import { render } from "preact";
import { useEffect, useState } from "preact/hooks";
import type { FunctionComponent } from "preact";
import { begin, me, problem } from "./me";
import { match, path } from "./router";
import { Shell } from "./shell";
import { SignIn } from "./signin";
import { Problem, Skeleton } from "./ui/parts";
import { Toasts } from "./ui/toast";

type Page = FunctionComponent<any>;
type Load = () => Promise<{ default: Page }>;

// A page: its address, and the file that holds it. A new page is a line here, a line in
// nav.ts when it has a place in the navigation, and a file in pages.
const pages: [string, Load][] = [
  ["/", () => import("./pages/home")],
  ["/connections", () => import("./pages/connections")],
  ["/connections/:name", () => import("./pages/connection")],
  ["/requests", () => import("./pages/requests")],
  ["/requests/:id", () => import("./pages/request")],
  ["/sessions", () => import("./pages/sessions")],
  ["/sessions/:id", () => import("./pages/session")],
  ["/connections/:name/sql", () => import("./pages/sql")],
  ["/sessions/:id/replay", () => import("./pages/replay")],
  ["/runbooks", () => import("./pages/runbooks")],
  ["/runbooks/:source/:name", () => import("./pages/runbook")],
  ["/runs/:id", () => import("./pages/run")],
  ["/terminal", () => import("./pages/terminal")],
  ["/you", () => import("./pages/you")],
  ["/tokens", () => import("./pages/tokens")],
  ["/dashboard", () => import("./pages/dashboard")],
  ["/users", () => import("./pages/users")],
  ["/configuration", () => import("./pages/objects")],
  ["/configuration/edit", () => import("./pages/edit")],
  ["/policy", () => import("./pages/policy")],
  ["/alerts", () => import("./pages/alerts")],
  ["/audit", () => import("./pages/audit")],
];

const missing: Load = () => import("./pages/missing");
const there = new Map<Load, Page>();

function Router() {
  const p = path.value;
  let load = missing, params = {};
  for (const [pattern, l] of pages) {
    const m = match(pattern, p);
    if (m) { load = l; params = m; break; }
  }
  const [, draw] = useState(0);
  const [failed, setFailed] = useState("");
  const Page = there.get(load);
  useEffect(() => {
    setFailed("");
    if (!there.has(load)) {
      load().then((m) => { there.set(load, m.default); draw((n) => n + 1); })
        .catch(() => setFailed("This page could not be loaded. The gateway may have been upgraded meanwhile."));
    }
  }, [load, p]);
  if (failed) return <Problem of={failed} again={() => location.reload()} />;
  return Page ? <Page key={p} {...params} /> : <Skeleton />;
}

function App() {
  const who = me.value;
  if (problem.value && !who) return <main class="alone"><Problem of={problem.value} again={begin} /></main>;
  if (who === undefined) return <main class="alone"><Skeleton rows={3} /></main>;
  if (who === null) return <SignIn />;
  return <Shell><Router /></Shell>;
}

render(<><App /><Toasts /></>, document.getElementById("app")!);
begin();
