// What a device keeps between visits. Everything here can be fetched again but the outbox.

import type { ErrorCode } from "../errors.ts";
import type { Contact, Conversation, LogEvent, Person } from "../model.ts";
import type { Observable } from "../observable.ts";

/** The events from..to of a log, both included, are on the device. */
export type Segment = readonly [from: number, to: number];

/** A conversation and what of its log is on the device. */
export interface ConversationRecord {
  readonly conversation: Conversation;
  /** Ascending, apart by at least one missing event. */
  readonly segments: readonly Segment[];
}

/** A message that is not known to be committed yet. */
export interface OutboxEntry {
  /** The order of sending on this device. */
  readonly n: number;
  readonly conversationId: string;
  /** The same on every repeat. */
  readonly clientMsgId: string;
  readonly text: string;
  /** When it was written, by this device's clock. */
  readonly timeMs: number;
  /** Why the server will not take it; undefined while there is hope. */
  readonly error?: ErrorCode | undefined;
}

/** What was kept. */
export interface Snapshot {
  /** The cursor on the user's own log; undefined on a new device. */
  readonly ownSeq: number | undefined;
  /** The history that all this is of; undefined where no server has told it. */
  readonly epoch: string | undefined;
  /** What has moved up to here is in it; 0 where no server has told it. */
  readonly position: number;
  /** The ids of those whom the user blocks, with spaces between. */
  readonly blocked: string;
  readonly conversations: readonly ConversationRecord[];
  readonly contacts: readonly Contact[];
  readonly people: readonly Person[];
  readonly outbox: readonly OutboxEntry[];
}

/** The kinds of records and their values. */
export interface Records {
  meta: number | string;
  conversations: ConversationRecord;
  contacts: Contact;
  people: Person;
  outbox: OutboxEntry;
  events: LogEvent;
}

/** The key of a record; of an event, its log and seq. */
export type Key = string | number | [string, number];

/** Records can be kept again, after a time in which they could not. */
export interface Returned {
  /** What was kept before is gone: it has to be written anew. */
  readonly lost: boolean;
  /** What is there of the outbox, by this page or another, in the order of sending. */
  readonly outbox: readonly OutboxEntry[];
}

/**
 * Keeps records. Writes of one turn of the event loop are one transaction, and those of the outbox
 * one of their own:
 * what belongs together is there together or not at all.
 */
export interface Storage {
  /** Whether the outbox is kept beyond this page; else it is in memory alone. */
  readonly kept: Observable<boolean>;
  load(): Promise<Snapshot>;
  /** What is in the outbox now, written by whichever page, in the order of sending. */
  outbox(): Promise<OutboxEntry[]>;
  /** Calls back when records can be kept again. */
  onReturn(callback: (returned: Returned) => void): () => void;
  put<K extends keyof Records>(kind: K, key: Key, value: Records[K]): void;
  delete(kind: keyof Records, key: Key): void;
  /** Deletes all records of a kind. */
  clear(kind: keyof Records): void;
  /** The events from..to of a log, both included, ascending; those that are missing are left out. */
  events(logId: string, from: number, to: number): Promise<LogEvent[]>;
  /** Waits until everything is written. */
  flush(): Promise<void>;
  /** Forgets everything and closes. */
  destroy(): Promise<void>;
  close(): void;
}

/** The key in `meta` of the cursor on the user's own log. */
export const OWN_SEQ = "ownSeq";
/** The key in `meta` of the history's name. */
export const EPOCH = "epoch";
/** The key in `meta` of the position for Sync. */
export const POSITION = "position";
/** The key in `meta` of those whom the user blocks. */
export const BLOCKED = "blocked";
