(role, name) => {
  const selectors = {
    button: "button, [role=button]", link: "a[href]", option: "[role=option]", heading: "h1, h2, h3", field: "input, select, textarea",
    row: ".rows [role=row]", dialog: "dialog[open]", any: "*",
  };
  if (name.startsWith("#")) return document.querySelector(name);
  const text = (e) => (e.textContent ?? "").replace(/\s+/g, " ").trim();
  const called = (e) => {
    if (role === "field") {
      const label = e.getAttribute("aria-label") ?? [...(e.labels ?? [])].map(text).join(" ");
      return label;
    }
    return e.getAttribute("aria-label") ?? text(e);
  };
  const seen = (e) => e.getClientRects().length > 0 && getComputedStyle(e).visibility !== "hidden";
  const open = document.querySelector("dialog[open]");
  const all = [...(role === "dialog" ? document : open ?? document).querySelectorAll(selectors[role] ?? role)].filter(seen);
  return all.find((e) => called(e) === name) ?? all.find((e) => called(e).includes(name)) ?? null;
}
