// What the API answers, as far as the console reads it. docs/openapi.json has all of it.

export interface Provider { name: string }
export interface Server { providers?: Provider[]; passwords?: boolean; authorities?: string }

export interface Me {
  subject: string; name?: string; groups?: string[]; kind?: string; method: string;
  expires?: string; authenticated?: string; permissions?: string[];
}

export interface Resource {
  name: string; type: string; address: string; user: string; database?: string; accounts?: string[];
  tls?: boolean; request?: boolean; labels?: Record<string, string>;
}

export interface Session {
  id: string; start: string; user: string; for?: string; groups?: string[]; method: string; resource: string;
  account?: string; database?: string; protocol: string; remote?: string; deadline?: string; operations: number; waiting: number;
  /** It waits until somebody has it go on. */
  frozen?: { by: string; reason: string; at: string };
}

export interface Stage { approvers: string[]; need?: number }
export interface Vote {
  stage: number; by: string; name?: string; at: string; channel?: string; method?: string; reason?: string;
  seconds?: number; actions?: string[]; rows?: number; lost?: boolean;
}
export interface Access {
  rule: string; actions: string[]; seconds: number; from?: string; reason: string; remote?: string;
  stages: Stage[]; votes?: Vote[]; grant?: { from: string; until: string; actions: string[] };
  /** The request that it goes on after. */
  extends?: string;
  /** How many rows may be returned or changed by what is granted, in all sessions. */
  rows?: number;
  revision?: number; proposal?: Proposal; glass?: Glass;
}

/** What an approver would grant in the place of what is asked for. */
export interface Proposal {
  by: string; name?: string; at: string; channel?: string; reason?: string; actions: string[]; seconds: number; from?: string; hash: string;
}

/** Access that somebody has taken without an approval. */
export interface Glass { proof: string; ended?: { state: string; by?: string; at?: string; reason?: string } }

export type RequestState = "pending" | "approved" | "denied" | "cancelled" | "expired" | "revoked" | "ended" | "used" | "unknown" | "lapsed"
  | "review_due" | "reviewed" | "violation";

export interface Request {
  id: string; state: RequestState; hash: string; content?: string; requester: string; for?: string; session?: string; operation?: number;
  resource: string; account?: string; database?: string; kind: string; text: string; arguments?: string[]; effects?: string; blind?: string;
  message: string; rules: string[] | null; approvers: string[][] | null; created: string; deadline: string;
  decided_by?: string; decided_at?: string; channel?: string; reason?: string; use_by?: string;
  use?: { session: string; operation: number; at: string };
  /** Types of values that are masked in the text and the arguments, and whether approvers may read them all the same. */
  hidden?: string[]; reveal?: boolean;
  access?: Access; impact?: Impact;
  /** A request for the same that may have run already. */
  after?: string;
  /** In a list: its text or arguments are longer than what is here. */
  cut?: boolean;
}

/** What a statement would change, as it was measured. */
export interface Impact {
  effect?: string; table?: string; rows?: number; holds?: string; digest?: string; plan?: string; cost?: number;
  columns?: string[]; samples?: { before: string[]; after?: string[] }[]; unsaid?: string[];
}

export interface Answer {
  outcome: string; by?: string; cause?: string; message?: string; rule?: string; rewritten?: string; notes?: string[];
}

/** On what terms access may be asked for. */
export interface Terms {
  rule: string; actions: string[]; seconds: number; max: number; reason?: string; message?: string; stages: Stage[];
  /** For how long at most one may have it without an approval. */
  break_glass?: number;
}

/** A session that is on record, in a list. */
export interface Summary {
  id: string; start: string; user: string; resource: string; account?: string; database?: string; protocol: string; remote?: string;
  operations: number; refused: number; seconds: number; end: string;
}

export interface Operation {
  op: number; at: string; kind: string; name?: string; text?: string; cut?: boolean; target?: string; effects?: string; state: string; verdict?: string;
  by?: string; rule?: string; grant?: string; reason?: string; micros?: number; rows?: number; masked?: Record<string, number>; code?: string; error?: string;
}

export interface Recording {
  id: string; start: string; end?: string; open?: boolean; error?: string; recovered?: boolean; user: string; for?: string; groups?: string[]; method?: string;
  resource: string; account?: string; database?: string; protocol: string; remote?: string; recording?: Record<string, string>; lost?: number;
  all: number; operations: Operation[]; withheld?: boolean;
}

/** An event of the gateway's own record. */
export interface Event { t: string; type: string; [key: string]: unknown }
export interface Events { events: Event[]; more?: boolean; counts: number[]; from: string; to: string }

/** What packs of evidence are made for. */
export interface Frameworks { frameworks: { id: string; title: string; controls: { id: string; asks: string; yours?: string }[] }[] }

export interface User { subject: string; name?: string; given?: string[]; groups?: string[]; disabled?: boolean; seen?: string }
export interface Group { name: string; members: string[] }
export interface Token {
  id: string; label: string; subject: string; user: string; scopes?: { actions?: string[]; resources?: string[] | Record<string, string> }[];
  created?: string; expires?: string; last_used?: string;
}

/** A runbook of a source, in a list. */
export interface Runbook {
  source: string; name?: string; path: string; commit?: string; title?: string; owner?: string; risk?: string; labels?: Record<string, string>;
  review?: boolean; cron?: string; problem?: string;
}

export interface RunStep {
  id: string; kind: string; on?: string; state: string; session?: string; attempts?: number; rows: number; affected: number; status: number;
  begun?: string; ended?: string; message?: string; columns?: string[]; kept?: string[][]; output?: string;
}

export interface Origin { source: string; commit?: string; path: string; digest: string; author?: string; signer?: string }

export interface Run {
  id: string; name: string; state: string; dry?: boolean; requester: string; for?: string; origin: Origin; plan: string; targets: Record<string, string[]>;
  scheduled?: string; created: string; ended?: string; session?: string; grants?: string[]; message?: string; steps: RunStep[];
}

/** What a run would do. */
export interface RunPlan {
  text: string; writes: boolean; answers: { step: string; on: string; verdict: string; reason?: string }[];
  plan: {
    digest: string; origin: Origin; reviews?: { need: number; from: string[]; distinct?: string[] }[]; values: Record<string, { type: string; text?: string; list?: string[]; null?: boolean }>;
    steps: { id: string; kind: string; on?: string; when?: string; text: string; args?: string[]; input?: string; writes: boolean; affected_rows?: number }[];
  };
}
