import { signal } from "@preact/signals";
import { get } from "./api";
import { server } from "./me";
import type { Resource } from "./types";

/** The resources that the caller may connect to or ask for; null: they have not come yet. */
export const resources = signal<Resource[] | null>(null);
export const failed = signal("");

/** load has the resources asked for. */
export async function load() {
  try {
    resources.value = (await get<{ resources: Resource[] }>("/v1/resources")).resources;
    failed.value = "";
  } catch (e) {
    failed.value = (e as Error).message;
  }
}

/** found asks for the resources when nobody has, or when that has failed. */
let asked = false;
export function found() {
  if (asked) return;
  asked = true;
  load().then(() => { asked = resources.value !== null; });
}

/** shell quotes a word for a shell of Unix, when it has to be. */
export const shell = (s: string) => (/^[\w@%+=:,./-]+$/.test(s) ? s : "'" + s.replaceAll("'", "'\\''") + "'");

const conninfo = (s: string) => (/^[\w@%+:,./-]+$/.test(s) ? s : "'" + s.replace(/[\\']/g, "\\$&") + "'");

/** The file that the gateway's own authority is saved as; it is named where clients need it. */
export const authority = "sallyport-ca.pem";

/** How the resource is reached without the gateway's own program. */
export function native(r: Resource): string {
  const cut = r.address.lastIndexOf(":");
  const host = r.address.slice(0, cut).replace(/^\[|\]$/g, "") || location.hostname, port = r.address.slice(cut + 1);
  if (r.type === "postgres") {
    const parts = [["host", host], ["port", port], ["user", r.user], ["dbname", r.database ?? ""], ["sslmode", r.tls ? "verify-full" : "prefer"], ["sslrootcert", r.tls && server.value.authorities ? authority : ""]];
    return "psql " + shell(parts.filter(([, v]) => v).map(([k, v]) => k + "=" + conninfo(v)).join(" "));
  }
  if (r.type === "ssh") return ["ssh", "-p", port, shell(r.user + "@" + host)].join(" ");
  if (r.type === "mysql") return ["mysql", "-h", shell(host), "-P", port, "-u", shell(r.user), ...(r.database ? [shell(r.database)] : [])].join(" ");
  return `${host}:${port}`;
}

/** How it is reached with it: it renews what proves the user. */
export const own = (r: Resource) => "sallyport connect " + shell(r.name);

