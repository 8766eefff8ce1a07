import type { Me } from "./types";
import { may } from "./api";
import type { IconName } from "./ui/icon";

export interface Place { to: string; word: string; icon: IconName; key: string; for?: (me: Me) => boolean; group?: string }

/** Where one can go, in order. A place that is not for somebody is not shown to her; the API decides all the same. */
export const places: Place[] = [
  { to: "/", word: "Home", icon: "house", key: "h" },
  { to: "/connections", word: "Connections", icon: "plug", key: "c" },
  { to: "/terminal", word: "Terminals", icon: "squareTerminal", key: "t" },
  { to: "/runbooks", word: "Runbooks", icon: "fileText", key: "b" },
  { to: "/requests", word: "Requests", icon: "hand", key: "r" },
  { to: "/sessions", word: "Sessions", icon: "activity", key: "s" },
  { to: "/you", word: "You", icon: "user", key: "y", for: (me) => me.kind === "human" },
  { to: "/tokens", word: "Access tokens", icon: "keyRound", key: "k", for: (me) => me.kind === "human" },
  { to: "/dashboard", word: "Dashboard", icon: "gauge", key: "d", group: "Administration", for: (me) => may(me, "list") },
  { to: "/users", word: "Users", icon: "users", key: "u", group: "Administration", for: (me) => may(me, "users") },
  { to: "/configuration", word: "Configuration", icon: "layers", key: "o", group: "Administration", for: (me) => may(me, "configure") },
  { to: "/policy", word: "Policy", icon: "shieldCheck", key: "p", group: "Administration", for: (me) => may(me, "configure") },
  { to: "/alerts", word: "Alerts", icon: "bell", key: "l", group: "Administration", for: (me) => may(me, "configure") },
  { to: "/audit", word: "Audit", icon: "scrollText", key: "a", group: "Administration", for: (me) => may(me, "audit") },
];

export const placesOf = (me: Me) => places.filter((p) => !p.for || p.for(me));
