// A user, as administrators see them, and what can be done about them.

import type { Admin, User } from "@gogochat/client/admin";
import { createSignal, For, Show } from "solid-js";
import { ta } from "../i18n/admin.ts";
import { useApp } from "../state/app.ts";
import { moment } from "../format/time.ts";
import { useAction } from "../ui/action.ts";
import { Apart } from "../ui/Apart.tsx";
import { Confirm } from "../ui/Confirm.tsx";
import { Fault } from "../ui/Fault.tsx";
import { Field } from "../ui/Field.tsx";
import { Secret } from "../ui/Secret.tsx";
import { useLoad } from "../ui/load.ts";
import { AdminAudit } from "./AdminAudit.tsx";
import { PersonLine } from "./PersonLine.tsx";

/** What is not as of others: in words, not by colour alone. */
export function Marks(props: { user: User }) {
  return (
    <span class="marks">
      <Show when={props.user.administratorSinceMs}>
        <span>{ta().administrator}</span>
      </Show>
      <Show when={props.user.disabledSinceMs}>
        <span class="bad">{ta().disabled}</span>
      </Show>
      <Show when={props.user.oneTimePasswordUntilMs}>
        <span>{ta().oneTime}</span>
      </Show>
    </span>
  );
}

export function AdminUser(props: { admin: Admin; id: string }) {
  const app = useApp();
  const [changed, setChanged] = createSignal<User>();
  const [asking, setAsking] = createSignal<Deed>();
  const [secret, setSecret] = createSignal<{ password: string; untilMs: number }>();
  const [reason, setReason] = createSignal("");
  // Each change shows in the log below.
  const [turn, setTurn] = createSignal(0);
  const loaded = useLoad(
    () => props.id,
    (id) => props.admin.user(id),
  );
  const devices = useLoad(
    () => props.id,
    (id) => props.admin.devices(id),
  );
  const user = () => changed() ?? loaded.value();
  const isMe = () => props.id === app.client.me.id;
  const after = () => {
    devices.again();
    setTurn(turn() + 1);
  };
  const run = async (deed: Deed) => {
    if (deed === "reset") {
      setSecret(await props.admin.resetAccess(props.id));
      setChanged(await props.admin.user(props.id));
    } else if (deed === "disable") setChanged(await props.admin.disable(props.id, reason()));
    else if (deed === "signOut") app.showToast(ta().signedOut(await props.admin.signOut(props.id)));
    else setChanged(await props.admin.setAdministrator(props.id, deed === "make"));
    setReason("");
    after();
  };
  const enable = useAction(async () => {
    setChanged(await props.admin.enable(props.id));
    after();
  });
  const words = (deed: Deed): { title: string; text: string } =>
    ({
      disable: { title: ta().disable, text: ta().disableAsk },
      make: { title: ta().makeAdministrator, text: ta().makeAdministratorAsk },
      end: { title: ta().endAdministrator, text: ta().endAdministratorAsk },
      reset: { title: ta().reset, text: ta().resetAsk },
      signOut: { title: ta().signOutAll, text: ta().signOutAsk },
    })[deed];
  return (
    <>
      <Fault text={loaded.error() ?? enable.error()} />
      <Show when={user()}>
        {(shown) => (
          <section data-testid="admin-user" data-disabled={shown().disabledSinceMs > 0}>
            <PersonLine person={shown().person} />
            <p class="hint">
              {ta().since(moment(shown().createdMs))} <Marks user={shown()} />
            </p>
            <Show when={!isMe()} fallback={<p class="hint">{ta().itIsYou}</p>}>
              <Show when={!shown().disabledSinceMs}>
                <Field label={ta().reason} name="reason" value={reason()} onInput={setReason} maxLength={200} />
              </Show>
              <div class="actions">
                <Show
                  when={shown().disabledSinceMs}
                  fallback={
                    <button type="button" class="soft bad" data-testid="disable" onClick={() => setAsking("disable")}>
                      {ta().disable}
                    </button>
                  }
                >
                  <button type="button" class="soft" data-testid="enable" disabled={enable.busy()} onClick={() => void enable.run()}>
                    {ta().enable}
                  </button>
                </Show>
                <button type="button" class="soft" data-testid="reset" onClick={() => setAsking("reset")}>
                  {ta().reset}
                </button>
                <button
                  type="button"
                  class="soft"
                  data-testid="administrator"
                  onClick={() => setAsking(shown().administratorSinceMs ? "end" : "make")}
                >
                  {shown().administratorSinceMs ? ta().endAdministrator : ta().makeAdministrator}
                </button>
              </div>
            </Show>
          </section>
        )}
      </Show>
      <Show when={secret()}>{(given) => <Secret text={ta().oneTimeIs(moment(given().untilMs))} secret={given().password} copy={ta().copy} copied={ta().copied} />}</Show>
      <section data-testid="user-devices">
        <h2 class="part">{(devices.value()?.length ?? 1) > 0 ? ta().devices : ta().noDevices}</h2>
        <Fault text={devices.error()} />
        <ul class="people">
          <For each={devices.value()}>
            {(device) => (
              <li class="device">
                <div>
                  <b>
                    <Apart text={device.name} />
                  </b>
                  <p>
                    {ta().lastActive(moment(device.lastSeenMs))}
                    {device.address && ` · ${ta().from(device.address)}`}
                  </p>
                </div>
              </li>
            )}
          </For>
        </ul>
        <Show when={(devices.value()?.length ?? 0) > 0}>
          <button type="button" class="soft" data-testid="sign-out-all" onClick={() => setAsking("signOut")}>
            {ta().signOutAll}
          </button>
        </Show>
      </section>
      <section>
        <h2 class="part">{ta().recent}</h2>
        <AdminAudit admin={props.admin} userId={props.id} turn={turn()} />
      </section>
      <Show when={asking()} keyed>
        {(deed) => (
          <Confirm title={words(deed).title} text={words(deed).text} action={words(deed).title} run={() => run(deed)} onClose={() => setAsking(undefined)} />
        )}
      </Show>
    </>
  );
}

type Deed = "disable" | "make" | "end" | "reset" | "signOut";
