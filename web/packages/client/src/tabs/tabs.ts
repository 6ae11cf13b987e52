// What the tabs of one device say to each other. Each says what it did, and the one that leads what
// the server says.

import type { ErrorCode, Violation } from "../errors.ts";
import type { Event } from "../gen/gogochat/v1/event_pb.ts";
import type { Ephemeral, Resync, Watermark, Welcome } from "../gen/gogochat/v1/realtime_pb.ts";
import type { ConnectionState } from "../link.ts";
import type { OutboxChange } from "../outbox.ts";
import type { Locks } from "./leadership.ts";

/** What a person did in one tab, for the others of the device. */
export type Deed =
  | { readonly kind: "outbox"; readonly change: OutboxChange }
  | { readonly kind: "read"; readonly conversationId: string; readonly seq: number };

/** A message between tabs. */
export type TabMessage =
  /** Asks how the leader stands. */
  | { readonly kind: "hello" }
  /** How the leader stands; `session` is 0 while there is none. */
  | {
      readonly kind: "leader";
      readonly from: string;
      readonly visible: boolean;
      readonly state: ConnectionState;
      readonly session: number;
      readonly welcome: Welcome | undefined;
    }
  | {
      readonly kind: "call";
      readonly from: string;
      readonly id: number;
      readonly session: number;
      readonly method: string;
      readonly key: string;
      readonly aside: boolean;
      readonly body: Uint8Array;
    }
  | { readonly kind: "reply"; readonly to: string; readonly id: number; readonly body: Uint8Array }
  | { readonly kind: "refusal"; readonly to: string; readonly id: number; readonly error: Refusal }
  /** A frame without a reply, for the leader's session. */
  | { readonly kind: "frame"; readonly bytes: Uint8Array; readonly lossy: boolean }
  /** What the server said. */
  | { readonly kind: "event"; readonly event: Event }
  | { readonly kind: "ephemeral"; readonly ephemeral: Ephemeral }
  | { readonly kind: "watermark"; readonly watermark: Watermark }
  | { readonly kind: "resync"; readonly resync: Resync }
  /** The network may be back. */
  | { readonly kind: "kick" }
  | { readonly kind: "deed"; readonly deed: Deed };

/** An error that a call met. */
export interface Refusal {
  readonly code: ErrorCode;
  readonly message: string;
  readonly retryAfterMs: number;
  readonly violations: readonly Violation[];
}

/** How the tabs of a device meet. */
export interface Tabs {
  /** This tab's name among them. */
  readonly id: string;
  readonly locks: Locks;
  /** The name of their lock. */
  readonly lock: string;
  /** Reaches all other tabs, in order. */
  post(message: TabMessage): void;
  /** Calls back for each message of another tab. */
  listen(callback: (message: TabMessage) => void): () => void;
  /** Calls back when the browser freezes this tab (true) or thaws it. */
  onFreeze(callback: (frozen: boolean) => void): () => void;
}
