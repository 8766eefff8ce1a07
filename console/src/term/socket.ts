import { api } from "../base";

export interface SessionInfo { session: string; resource: string; account?: string; database?: string; start: string; deadline?: string }
export interface Held { request?: string; message?: string; link?: string; deadline?: string }

/** Where sockets of the API are. */
export const socketURL = (path: string) => location.origin.replace(/^http/, "ws") + api + path;
