import { me } from "./me";
import type { Request } from "./types";

/** Whether a request is the caller's, or an agent's that acts for her. */
export const mine = (r: Pick<Request, "requester" | "for">) => r.requester === me.value?.subject || (!!r.for && r.for === me.value?.subject);
