import { signal } from "@preact/signals";
import { Refusal, get, lost, post } from "./api";
import { known } from "./base";
import { follow, forget, retry } from "./live";
import type { Me, Server } from "./types";

/** Who is here: undefined: it is being asked; null: nobody. */
export const me = signal<Me | null | undefined>(undefined);
export const server = signal<Server>({});
/** What went wrong with the first question. */
export const problem = signal("");
/** Why somebody has to log in again. */
export const ended = signal("");

lost.tell = () => {
  if (!me.value) return;
  ended.value = "Your login has ended. Log in again to go on where you were.";
  forget();
  me.value = null;
};

retry.ask = async (then) => {
  try { await get<Me>("/v1/whoami"); } catch (e) { if ((e as Refusal).status === 401) return; }
  if (me.value) then();
};

export async function begin() {
  try {
    server.value = await get<Server>("/v1/server");
    if (!known && me.value === undefined) { me.value = null; return; }
    me.value = await get<Me>("/v1/whoami");
    problem.value = ended.value = "";
    follow();
  } catch (e) {
    const r = e as Refusal;
    if (r.status === 401) { me.value = null; return; }
    problem.value = r.message;
  }
}

export async function enter(user: string, password: string, code: string) {
  await post("/v1/login", { user, password, code: code || undefined, cookie: true });
  me.value = await get<Me>("/v1/whoami");
  ended.value = "";
  follow();
}

/** leave signs out here, or everywhere. */
export async function leave(everywhere = false) {
  try {
    await post(everywhere ? "/v1/me/logout" : "/v1/logout");
  } finally {
    forget();
    me.value = undefined;
    location.replace(location.pathname); // what was in memory is gone, too
  }
}

// A page that the browser kept and shows again asks who is here.
addEventListener("pageshow", (e) => { if (e.persisted) location.reload(); });
