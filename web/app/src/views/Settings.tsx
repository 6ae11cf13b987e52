// The account, this browser's choices, the devices.

import { createEffect, createSignal, For, type JSX, lazy, on, Show } from "solid-js";
import { LANGUAGES, type Language, language, t } from "../i18n/index.ts";
import { useApp } from "../state/app.ts";
import { attentive } from "../state/attention.ts";
import { use } from "../state/bind.ts";
import { notify, setLanguage, setNotify, setTheme, type Theme, theme } from "../state/prefs.ts";
import { Apart } from "../ui/Apart.tsx";
import { Choice } from "../ui/Choice.tsx";
import { Confirm } from "../ui/Confirm.tsx";
import { useAction } from "../ui/action.ts";
import { Fault } from "../ui/Fault.tsx";
import { useLoad } from "../ui/load.ts";
import { Field } from "../ui/Field.tsx";
import { Late } from "../ui/Late.tsx";
import { moment } from "../format/time.ts";
import { Blocked } from "./Blocked.tsx";
import { PersonLine } from "./PersonLine.tsx";
import { ProfileForm } from "./ProfileForm.tsx";

const SecondFactor = lazy(() => import("./SecondFactor.tsx").then(({ SecondFactor }) => ({ default: SecondFactor })));

export function Settings() {
  const app = useApp();
  const [leaving, setLeaving] = createSignal(false);
  const leave = () => (app.client.waiting.get() > 0 ? setLeaving(true) : app.leave());
  return (
    <>
      <header>
        <div class="head">
          <h1>{t().settings}</h1>
        </div>
      </header>
      <div class="rows settings">
        <section aria-label={t().account}>
          <PersonLine person={app.me()} />
          <ProfileForm />
        </section>
        <section>
          <h2 class="part">{t().appearance}</h2>
          <Choice
            label={t().theme}
            value={theme()}
            options={{ system: t().themeSystem, light: t().themeLight, dark: t().themeDark }}
            onChange={(next) => setTheme(next as Theme)}
            testid="theme"
          />
          <Choice
            label={t().language}
            value={language()}
            options={LANGUAGES}
            onChange={(next) => setLanguage(next as Language)}
            testid="language"
          />
        </section>
        <Notifications />
        <Blocked />
        <Devices />
        <Password />
        <Late fallback={<></>}>
          <SecondFactor />
        </Late>
        <Connection />
        <section aria-label={t().logOut}>
          <button type="button" class="soft" data-testid="log-out" onClick={leave}>
            {t().logOut}
          </button>
        </section>
      </div>
      <Show when={leaving()}>
        <Confirm
          title={t().logOut}
          text={t().logOutUnsent(app.client.waiting.get())}
          action={t().logOut}
          run={() => app.leave()}
          onClose={() => setLeaving(false)}
        />
      </Show>
    </>
  );
}

function Notifications() {
  const able = typeof Notification === "function";
  const [permission, setPermission] = createSignal(able ? Notification.permission : "denied");
  const change = async (on: boolean) => {
    if (on && permission() === "default") setPermission(await Notification.requestPermission());
    setNotify(on && permission() === "granted");
  };
  return (
    <section>
      <h2 class="part">{t().notifications}</h2>
      <Choice
        label={permission() === "denied" ? t().notificationsBlocked : t().notificationsHint}
        value={notify() && permission() === "granted" ? "on" : "off"}
        options={{ on: t().notificationsOn, off: t().notificationsOff }}
        onChange={(next) => change(next === "on")}
        testid="notify"
      />
    </section>
  );
}

/** By what the page is connected: for those who want to know. */
function Connection() {
  const connection = use(useApp().client.connection);
  const text = () => {
    const { status, transport, rttMs } = connection();
    if (status !== "online") return status === "offline" ? t().noConnection : t().connecting;
    const by = transport === "webtransport" ? t().quicTitle : t().wsTitle;
    return rttMs === undefined ? by : `${by}, ${t().roundTrip(rttMs)}`;
  };
  return (
    <section>
      <h2 class="part">{t().connection}</h2>
      <p data-testid="connection">{text()}</p>
    </section>
  );
}

function Devices() {
  const app = useApp();
  const devices = useLoad(
    () => app.auth,
    (auth) => auth.devices(),
  );
  const [leaving, setLeaving] = createSignal("");
  const signOut = useAction(async () => {
    await app.auth.revokeDevice(leaving());
    devices.again();
  });
  // Another device may have come or gone while nobody looked here.
  createEffect(on(attentive, (now) => now && devices.again(), { defer: true }));
  const name = (device: { name: string; id: string }) => {
    const [, browser, system] = /^(\S+) on (\S+)$/.exec(device.name) ?? [];
    return browser && system ? t().deviceOn(browser, system) : device.name || device.id.slice(0, 8);
  };
  const fault = () => signOut.error() ?? devices.error();
  return (
    <section data-testid="devices">
      <h2 class="part">{t().devices}</h2>
      <Show when={fault()}>
        <p class="error" role="alert">
          {fault()}{" "}
          <button type="button" class="link" onClick={() => devices.again()}>
            {t().retry}
          </button>
        </p>
      </Show>
      <ul class="people">
        <For each={devices.value()}>
          {(device) => (
            <li class="device" data-testid="device" data-current={device.current}>
              <div>
                <b>
                  <Apart text={name(device)} />
                </b>
                <p>
                  {device.current ? t().thisDevice : t().lastActive(moment(device.lastSeenMs || device.createdMs))}
                  {" · "}
                  {t().signedIn(moment(device.createdMs))}
                </p>
              </div>
              <Show when={!device.current}>
                <button
                  type="button"
                  class="soft"
                  aria-label={t().signOutOf(name(device))}
                  data-testid="revoke"
                  onClick={() => {
                    setLeaving(device.id);
                    void signOut.run();
                  }}
                >
                  {t().signOutDevice}
                </button>
              </Show>
            </li>
          )}
        </For>
      </ul>
    </section>
  );
}

function Password() {
  const app = useApp();
  const [open, setOpen] = createSignal(false);
  const [current, setCurrent] = createSignal("");
  const [next, setNext] = createSignal("");
  const change = useAction(async () => {
    const signedOut = await app.auth.changePassword(current(), next());
    app.showToast(t().passwordChanged(signedOut));
    setOpen(false);
    setCurrent("");
    setNext("");
  });
  // The current one is wrong, or the new one is not taken: each is said beside its field.
  const wrongCurrent = () => (change.code() === "wrong_credentials" ? t().wrongPassword : undefined);
  const wrongNext = () => (change.faulty("newPassword") ? t().passwordHint : undefined);
  const fields = (): JSX.Element => (
    <form class="stack" onSubmit={change.submit}>
      <input type="text" name="username" autocomplete="username" value={app.client.me.name} hidden readOnly />
      <Field
        label={t().currentPassword}
        name="current"
        type="password"
        value={current()}
        onInput={setCurrent}
        autocomplete="current-password"
        required
        error={wrongCurrent()}
      />
      <Field
        label={t().newPassword}
        name="next"
        type="password"
        value={next()}
        onInput={setNext}
        autocomplete="new-password"
        required
        minLength={8}
        maxLength={128}
        hint={t().passwordHint}
        error={wrongNext()}
      />
      <Fault text={wrongCurrent() || wrongNext() ? undefined : change.error()} />
      <button type="submit" class="primary" disabled={change.busy()} data-testid="save-password">
        {t().changePassword}
      </button>
    </form>
  );
  return (
    <section>
      <h2 class="part">{t().password}</h2>
      <Show
        when={open()}
        fallback={
          <button type="button" class="soft" data-testid="change-password" onClick={() => setOpen(true)}>
            {t().changePassword}
          </button>
        }
      >
        {fields()}
      </Show>
    </section>
  );
}
