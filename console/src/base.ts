// What the server says on the page: where the console and the API are, and whether this
// browser may have logged in. No part of a path is guessed.
const page = document.documentElement.dataset;

/** The path that the console is mounted at, without a slash at the end: "" or "/console". */
export const prefix = page.prefix ?? "";
/** The path that /v1 and /auth follow, or "". */
export const api = page.api ?? "";
/** "no" says that nobody has logged in here, so that the API need not be asked. */
export const known = page.known !== "no";
/** How the company calls its gateway. */
export const title = page.title || "Sallyport";
