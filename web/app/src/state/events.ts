// What happened in a conversation, as a line.

import type { EventBody } from "@gogochat/client";
import { t } from "../i18n/index.ts";
import type { AppState } from "./app.ts";

/** The line for an event that is no message. */
export function systemText(app: AppState, body: EventBody, senderId: string): string {
  const me = app.client.me.id;
  const name = (id: string) => (id === me ? t().you : app.nameOf(id));
  switch (body.kind) {
    case "created":
      return body.group ? t().sysCreated(name(senderId), body.title) : t().sysContact;
    case "added": {
      const named = body.memberIds.slice(0, NAMED).map(name);
      const rest = body.count - named.length;
      return t().sysAdded(name(senderId), (rest > 0 ? [...named, t().andMore(rest)] : named).join(", "));
    }
    case "left":
      return t().sysLeft(name(body.userId));
    default:
      return "";
  }
}

const NAMED = 5;
