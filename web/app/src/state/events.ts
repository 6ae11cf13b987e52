// What happened in a conversation, as a line.

import type { EventBody, GroupChange } from "@gogochat/client";
import { cut } from "../format/cut.ts";
import { duration } from "../format/time.ts";
import { t } from "../i18n/index.ts";
import type { AppState } from "./app.ts";

/** The line for an event that is no message. */
export function systemText(app: AppState, body: EventBody, senderId: string): string {
  const me = app.client.me.id;
  const name = (id: string) => (id === me ? t().you : app.nameOf(id));
  const who = name(senderId);
  const several = ({ memberIds, count }: { memberIds: readonly string[]; count: number }) => {
    const named = memberIds.slice(0, NAMED).map(name);
    const rest = count - named.length;
    return (rest > 0 ? [...named, t().andMore(rest)] : named).join(", ");
  };
  switch (body.kind) {
    case "created":
      return body.group ? t().sysCreated(who, body.title) : t().sysContact;
    case "added":
      return t().sysAdded(who, several(body));
    case "joined":
      return t().sysJoined(name(body.userId));
    case "left":
      return t().sysLeft(name(body.userId));
    case "removed":
      return t().sysRemoved(who, several(body));
    case "changed":
      return changes(who, body).join(" · ");
    case "role":
      if (body.role === "owner") return t().sysOwner(name(body.userId));
      return (body.role === "admin" ? t().sysAdmin : t().sysMember)(who, name(body.userId));
    case "muted":
      return (body.untilMs > 0 ? t().sysMuted : t().sysUnmuted)(who, name(body.userId));
    case "dismissed":
      return t().sysDismissed(who);
    default:
      return "";
  }
}

/** How a group was changed, a sentence each. */
function changes(who: string, { title, notice, posting, history, slowModeMs, joining }: GroupChange): string[] {
  return [
    title === undefined ? "" : t().sysTitle(who, title),
    notice === undefined ? "" : notice ? t().sysNotice(who, cut(notice, NOTICE)) : t().sysNoNotice(who),
    posting === undefined ? "" : posting === "admins" ? t().sysQuiet(who) : t().sysLoud(who),
    history === undefined ? "" : history === "all" ? t().sysHistory(who) : t().sysNoHistory(who),
    slowModeMs === undefined ? "" : slowModeMs > 0 ? t().sysSlow(who, duration(slowModeMs)) : t().sysNotSlow(who),
    joining === undefined ? "" : joining === "open" ? t().sysOpen(who) : t().sysClosed(who),
  ].filter((line) => line !== "");
}

const NAMED = 5;
/** Graphemes of a notice in a line. */
const NOTICE = 120;
