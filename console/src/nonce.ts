// Libraries that make styles of their own get the page's nonce for them. Other styles stay
// what the page's policy says of them: blocked.
const nonce = (document.querySelector("meta[property=csp-nonce]") as HTMLMetaElement | null)?.nonce ?? "";
export default nonce;

let stamped = false;

/** stamp has every style element that is made from now on carry the nonce, before it is inserted. */
export function stamp() {
  if (stamped) return;
  stamped = true;
  const create = document.createElement;
  document.createElement = function (this: Document, name: string, options?: ElementCreationOptions) {
    const el = create.call(this ?? document, name, options);
    if (el instanceof HTMLStyleElement) el.nonce = nonce;
    return el;
  } as typeof document.createElement;
}
