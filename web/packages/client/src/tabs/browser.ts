// The tabs of a browser: BroadcastChannel and Web Locks.

import { newId } from "../ids.ts";
import type { TabMessage, Tabs } from "./tabs.ts";

/**
 * The tabs in which a device is open; undefined where the browser has no locks (pages without TLS):
 * then each is for itself.
 */
export function browserTabs(deviceId: string): Tabs | undefined {
  const locks = globalThis.navigator?.locks;
  if (!locks || typeof BroadcastChannel !== "function" || typeof document === "undefined") return undefined;
  const name = `gogochat.${deviceId}`;
  let channel: BroadcastChannel | undefined;
  return {
    id: newId(),
    locks,
    lock: name,
    post: (message) => channel?.postMessage(message),
    listen: (callback) => {
      channel = new BroadcastChannel(name);
      channel.onmessage = ({ data }: MessageEvent<TabMessage>) => callback(data);
      return () => {
        channel?.close();
        channel = undefined;
      };
    },
    onFreeze: (callback) => {
      const freeze = () => callback(true);
      const thaw = () => callback(false);
      // Page Lifecycle; `pagehide` also where the page may come back from the cache of Back and Forward.
      const ends: [EventTarget, string, () => void][] = [
        [document, "freeze", freeze],
        [document, "resume", thaw],
        [globalThis, "pagehide", freeze],
        [globalThis, "pageshow", thaw],
      ];
      for (const [target, event, listener] of ends) target.addEventListener(event, listener);
      return () => {
        for (const [target, event, listener] of ends) target.removeEventListener(event, listener);
      };
    },
  };
}
