import { api } from "./base";
import type { Me } from "./types";

/** A refusal, as the API tells it. */
export class Refusal extends Error {
  constructor(readonly status: number, readonly code: string, message: string, readonly retryAfter = 0) { super(message); }
}

/** Called when the API does not know who asks any more. */
export const lost: { tell: () => void } = { tell: () => {} };

async function ask<T>(method: string, path: string, body?: unknown, signal?: AbortSignal): Promise<T> {
  let r: Response;
  try {
    r = await fetch(api + path, {
      method, signal, credentials: "same-origin", cache: "no-store", redirect: "error",
      headers: body === undefined ? {} : { "Content-Type": "application/json" },
      body: body === undefined ? undefined : JSON.stringify(body),
    });
  } catch (e) {
    if (signal?.aborted) throw e;
    throw new Refusal(0, "offline", "The gateway cannot be reached. What you see may be old.");
  }
  const text = await r.text();
  let answer: any;
  try {
    answer = text ? JSON.parse(text) : {};
  } catch {
    throw new Refusal(r.status, "unreadable", `The gateway's answer cannot be read (HTTP ${r.status}).`);
  }
  if (r.ok) return answer as T;
  const e = answer?.error ?? {};
  if (r.status === 401 && path !== "/v1/login") lost.tell();
  throw new Refusal(r.status, String(e.code ?? r.status), sentence(String(e.message ?? `The gateway refused this (HTTP ${r.status}).`)), Number(r.headers.get("Retry-After")) || 0);
}

export const get = <T>(path: string, signal?: AbortSignal) => ask<T>("GET", path, undefined, signal);
export const post = <T>(path: string, body: unknown = {}) => ask<T>("POST", path, body);

/** A path of the API, with each part escaped. */
export function at(strings: TemplateStringsArray, ...parts: (string | number)[]): string {
  return strings.reduce((all, s, i) => all + s + (i < parts.length ? encodeURIComponent(String(parts[i])) : ""), "");
}

export function sentence(text: string): string {
  const t = text.trim();
  return t ? t[0].toUpperCase() + t.slice(1) + (/[.!?:]$/.test(t) ? "" : ".") : t;
}

export const may = (me: Me | null | undefined, permission: string) => !!me?.permissions?.includes(permission);
