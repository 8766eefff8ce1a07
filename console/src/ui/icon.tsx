import { Component, h } from "preact";
import activity from "icon:activity";
import arrowLeft from "icon:arrow-left";
import ban from "icon:ban";
import bell from "icon:bell";
import check from "icon:check";
import chevronRight from "icon:chevron-right";
import circleCheck from "icon:circle-check";
import circleSlash from "icon:circle-slash";
import circleX from "icon:circle-x";
import clock from "icon:clock";
import copy from "icon:copy";
import database from "icon:database";
import record from "icon:circle-dot";
import download from "icon:download";
import ellipsis from "icon:ellipsis";
import eye from "icon:eye";
import fileText from "icon:file-text";
import gauge from "icon:gauge";
import hand from "icon:hand";
import history from "icon:history";
import house from "icon:house";
import info from "icon:info";
import keyRound from "icon:key-round";
import layers from "icon:layers";
import logOut from "icon:log-out";
import menu from "icon:menu";
import monitor from "icon:monitor";
import moon from "icon:moon";
import pause from "icon:pause";
import play from "icon:play";
import plug from "icon:plug";
import plus from "icon:plus";
import rotateCcw from "icon:rotate-ccw";
import scrollText from "icon:scroll-text";
import search from "icon:search";
import send from "icon:send";
import server from "icon:server";
import shieldAlert from "icon:shield-alert";
import shieldCheck from "icon:shield-check";
import squareTerminal from "icon:square-terminal";
import sun from "icon:sun";
import timer from "icon:timer";
import triangleAlert from "icon:triangle-alert";
import undo from "icon:undo-2";
import user from "icon:user";
import users from "icon:users";
import x from "icon:x";

const all = {
  activity, arrowLeft, ban, bell, check, chevronRight, circleCheck, circleSlash, circleX, clock, copy, database, download, ellipsis, eye, fileText, gauge, hand, history,
  house, info, keyRound, layers, logOut, menu, monitor, moon, pause, play, plug, plus, record, rotateCcw, scrollText, search, send, server, shieldAlert,
  shieldCheck, squareTerminal, sun, timer, triangleAlert, undo, user, users, x,
};

export type IconName = keyof typeof all;

interface Shown { name: IconName; size?: 12 | 14 | 16 | 20 }

/** An icon. It always goes with a word, so that it is hidden from those who listen. One that stays the same is not looked at again. */
export class Icon extends Component<Shown> {
  override shouldComponentUpdate(next: Shown) { return next.name !== this.props.name || next.size !== this.props.size; }

  override render({ name, size = 16 }: Shown) {
    return h("svg", {
      class: "icon", width: size, height: size, viewBox: "0 0 24 24", fill: "none", stroke: "currentColor", "stroke-width": 2,
      "stroke-linecap": "round", "stroke-linejoin": "round", "aria-hidden": "true",
    } as any, all[name].map(([tag, attributes]) => h(tag as any, attributes)));
  }
}

/** The gateway's sign: two doors, one after the other. */
export function Mark() {
  return h("svg", { class: "mark", width: 20, height: 20, viewBox: "0 0 20 20", fill: "none", stroke: "currentColor", "stroke-width": 2, "aria-hidden": "true" } as any,
    h("path", { d: "M2 18V8a5 5 0 0 1 5-5h6a5 5 0 0 1 5 5v10" }), h("path", { d: "M7 18v-7a3 3 0 0 1 6 0v7" }));
}
