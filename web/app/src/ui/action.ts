// Something that a person starts, that takes a while and may fail: a button's work, or a form's.

import { type ErrorCode, GogochatError } from "@gogochat/client/auth";
import { createSignal } from "solid-js";
import { codeOf, say } from "../format/errors.ts";

/** How it stands, and how it is begun. */
export interface Action {
  busy(): boolean;
  /** What the last try met, in the page's words. */
  error(): string | undefined;
  code(): ErrorCode | undefined;
  /** Whether the server found fault with this field of what was sent. */
  faulty(field: string): boolean;
  /** Begins it, unless it is under way; true when it has worked. */
  run(): Promise<boolean>;
  /** The same for a form's submit. */
  submit(event: SubmitEvent): void;
  /** Forgets what the last try met. */
  clear(): void;
}

/** Makes an action of some work. */
export function useAction(work: () => Promise<unknown> | unknown): Action {
  const [busy, setBusy] = createSignal(false);
  const [failure, setFailure] = createSignal<{ readonly error: unknown }>();
  const code = () => {
    const met = failure();
    return met && codeOf(met.error);
  };
  const run = async () => {
    if (busy()) return false;
    setBusy(true);
    setFailure(undefined);
    try {
      await work();
      return true;
    } catch (error) {
      setFailure({ error });
      return false;
    } finally {
      setBusy(false);
    }
  };
  return {
    busy,
    code,
    error: () => {
      const met = code();
      return met && say(met);
    },
    faulty: (field) => {
      const error = failure()?.error;
      return error instanceof GogochatError && error.violations.some((violation) => violation.field === field);
    },
    run,
    submit: (event) => {
      event.preventDefault();
      void run();
    },
    clear: () => setFailure(undefined),
  };
}
