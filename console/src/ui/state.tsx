import type { Request } from "../types";
import { Icon, type IconName } from "./icon";

export type Tone = "allow" | "deny" | "review" | "masked" | "info" | "live" | "off";

/** A state: an icon, a word and a colour, never the colour alone. */
export function State({ tone, icon, word, title }: { tone: Tone; icon: IconName; word: string; title?: string }) {
  return <span class="state" data-tone={tone} title={title}><Icon name={icon} size={14} />{word}</span>;
}

const requestStates: Record<string, [Tone, IconName, string]> = {
  pending: ["review", "clock", "waiting"], approved: ["allow", "circleCheck", "approved"], denied: ["deny", "circleX", "denied"],
  cancelled: ["off", "circleSlash", "cancelled"], expired: ["off", "timer", "expired"], revoked: ["deny", "ban", "revoked"],
  ended: ["off", "history", "ended"], used: ["allow", "check", "used"], lapsed: ["off", "timer", "lapsed"], unknown: ["review", "triangleAlert", "may have run"],
  review_due: ["review", "shieldAlert", "review due"], reviewed: ["allow", "shieldCheck", "in order"], violation: ["deny", "shieldAlert", "violation"],
};

export function RequestState({ of }: { of: Pick<Request, "state" | "access"> }) {
  if (of.state === "approved" && of.access?.glass) return <State tone="deny" icon="shieldAlert" word="taken" title="Without an approval" />;
  const [tone, icon, word] = requestStates[of.state] ?? ["off", "info", of.state];
  return <State tone={tone} icon={icon} word={word} />;
}

const outcomes: Record<string, [Tone, IconName, string]> = {
  allow: ["allow", "circleCheck", "allowed"], warn: ["review", "triangleAlert", "allowed, with a warning"], rewrite: ["masked", "eye", "rewritten"],
  hold: ["review", "hand", "held for approval"], deny: ["deny", "circleX", "denied"],
};

export function Outcome({ of }: { of: string }) {
  const [tone, icon, word] = outcomes[of] ?? ["off", "info", of];
  return <State tone={tone} icon={icon} word={word} />;
}

const protocols: Record<string, [IconName, string]> = {
  postgres: ["database", "PostgreSQL"], mysql: ["database", "MySQL"], ssh: ["squareTerminal", "SSH"],
};

export function Protocol({ of }: { of: string }) {
  const [icon, word] = protocols[of] ?? ["plug", of];
  return <span class="protocol"><Icon name={icon} size={14} />{word}</span>;
}

/** The environment of a resource: a stripe, and always its word. */
export function Env({ labels }: { labels?: Record<string, string> }) {
  const env = labels?.env ?? labels?.environment;
  if (!env) return null;
  const level = /^prod/i.test(env) ? "prod" : /^(stag|pre|uat)/i.test(env) ? "staging" : "dev";
  return <span class="env" data-env={level}><bdi>{env}</bdi></span>;
}
