// How a group is, to be changed by its owner and admins.

import { type Conversation, type GroupChange, isVisible, trim } from "@gogochat/client";
import type { Groups } from "@gogochat/client/groups";
import { createSignal } from "solid-js";
import { tg } from "../i18n/groups.ts";
import { t } from "../i18n/index.ts";
import { duration } from "../format/time.ts";
import { useApp } from "../state/app.ts";
import { useAction } from "../ui/action.ts";
import { Choice } from "../ui/Choice.tsx";
import { Dialog } from "../ui/Dialog.tsx";
import { Fault } from "../ui/Fault.tsx";
import { Field } from "../ui/Field.tsx";

export function EditGroup(props: { conversation: Conversation; groups: Groups; onClose: () => void }) {
  const app = useApp();
  const { id, title: titleNow, notice: noticeNow = "", settings } = props.conversation;
  const [title, setTitle] = createSignal(titleNow);
  const [notice, setNotice] = createSignal(noticeNow);
  const [posting, setPosting] = createSignal(settings?.posting ?? "members");
  const [history, setHistory] = createSignal(settings?.history ?? "from_join");
  const [joining, setJoining] = createSignal(settings?.joining ?? "invite");
  const [slow, setSlow] = createSignal(settings?.slowModeMs ?? 0);
  /** What is other than it was: nothing else is said, nor set. */
  const change = (): GroupChange => ({
    ...(trim(title()) !== titleNow && { title: trim(title()) }),
    ...(trim(notice()) !== noticeNow && { notice: trim(notice()) }),
    ...(posting() !== settings?.posting && { posting: posting() }),
    ...(history() !== settings?.history && { history: history() }),
    ...(joining() !== settings?.joining && { joining: joining() }),
    ...(slow() !== settings?.slowModeMs && { slowModeMs: slow() }),
  });
  const save = useAction(async () => {
    const changed = change();
    if (Object.keys(changed).length > 0) await props.groups.change(id, changed);
    app.showToast(tg().saved);
    props.onClose();
  });
  /** What was chosen elsewhere is among them. */
  const times = [...new Set([...SLOW, slow()])].sort((a, b) => a - b);
  return (
    <Dialog title={tg().editGroup} onClose={props.onClose}>
      <form class="stack" onSubmit={save.submit} data-testid="group-form">
        <Field label={t().groupTitle} name="title" value={title()} onInput={setTitle} required maxLength={64} autofocus />
        <div class="field">
          <label for="group-notice">{tg().notice}</label>
          <div class="input">
            <textarea
              id="group-notice"
              rows={4}
              maxLength={2000}
              value={notice()}
              onInput={(event) => setNotice(event.currentTarget.value)}
              dir="auto"
              aria-describedby="group-notice-hint"
              data-testid="notice-field"
            />
          </div>
          <p id="group-notice-hint">{tg().noticeHint}</p>
        </div>
        <Choice
          label={tg().posting}
          value={posting()}
          options={{ members: tg().postingMembers, admins: tg().postingAdmins }}
          onChange={(next) => void setPosting(next as "members" | "admins")}
          testid="posting"
        />
        <Choice
          label={tg().history}
          value={history()}
          options={{ from_join: tg().historyFromJoin, all: tg().historyAll }}
          onChange={(next) => void setHistory(next as "from_join" | "all")}
          testid="history"
        />
        <Choice
          label={tg().joining}
          value={joining()}
          options={{ invite: tg().joiningInvite, open: tg().joiningOpen }}
          onChange={(next) => void setJoining(next as "invite" | "open")}
          testid="joining"
        />
        <Choice
          label={tg().slowMode}
          value={String(slow())}
          options={Object.fromEntries(times.map((ms) => [String(ms), ms === 0 ? tg().slowOff : duration(ms)]))}
          onChange={(next) => void setSlow(Number(next))}
          testid="slow"
        />
        <Fault text={save.error()} />
        <button type="submit" class="primary" disabled={save.busy() || !isVisible(title())} data-testid="save-group">
          {tg().save}
        </button>
      </form>
    </Dialog>
  );
}

/** Times between two messages that are offered. */
const SLOW = [0, 10_000, 60_000, 300_000, 3_600_000];
