// Logging in and creating an account.

import { type Auth, type ErrorCode, GogochatError } from "@gogochat/client/auth";
import { createSignal, For, Show } from "solid-js";
import { LANGUAGES, type Language, language, t } from "../i18n/index.ts";
import { deviceName } from "../state/device.ts";
import { setLanguage } from "../state/prefs.ts";
import { codeOf, say } from "../ui/errors.ts";
import { Field } from "../ui/Field.tsx";

export function LogIn(props: { auth: Auth; lost: boolean }) {
  const [registering, setRegistering] = createSignal(false);
  const [name, setName] = createSignal("");
  const [displayName, setDisplayName] = createSignal("");
  const [password, setPassword] = createSignal("");
  const [busy, setBusy] = createSignal(false);
  const [error, setError] = createSignal<ErrorCode>();
  const [faults, setFaults] = createSignal<Readonly<Record<string, string>>>({});

  const submit = async (event: SubmitEvent) => {
    event.preventDefault();
    if (busy()) return;
    setBusy(true);
    setError(undefined);
    setFaults({});
    try {
      const who = name().trim().toLowerCase();
      if (registering()) await props.auth.register(who, password(), displayName().trim(), deviceName());
      else await props.auth.logIn(who, password(), deviceName());
    } catch (failure) {
      fail(failure);
    } finally {
      setBusy(false);
    }
  };
  const fail = (failure: unknown) => {
    const violations = failure instanceof GogochatError ? failure.violations : [];
    const hints: Record<string, string> = {
      name: t().nameHint,
      password: t().passwordHint,
      displayName: t().displayNameHint,
    };
    const known = violations.filter(({ field }) => field in hints);
    setFaults(Object.fromEntries(known.map(({ field }) => [field, hints[field] ?? ""])));
    setError(codeOf(failure));
  };
  const turn = () => {
    setRegistering(!registering());
    setError(undefined);
    setFaults({});
  };

  return (
    <main class="login">
      <form class="card" onSubmit={submit} aria-busy={busy()} data-testid="login">
        <img src="/icon.svg" alt="" width="48" height="48" />
        <h1>{t().app}</h1>
        <p class="tagline">{t().tagline}</p>
        <Show when={props.lost}>
          <p class="notice" role="status">
            {t().loggedOutElsewhere}
          </p>
        </Show>
        <Field
          label={t().name}
          name="name"
          value={name()}
          onInput={setName}
          autocomplete="username"
          required
          maxLength={32}
          autofocus
          {...(registering() && { hint: t().nameHint })}
          error={faults()["name"]}
        />
        <Show when={registering()}>
          <Field
            label={`${t().displayName} (${t().optional})`}
            name="displayName"
            value={displayName()}
            onInput={setDisplayName}
            autocomplete="nickname"
            maxLength={64}
            hint={t().displayNameHint}
            error={faults()["displayName"]}
          />
        </Show>
        <Field
          label={t().password}
          name="password"
          type="password"
          value={password()}
          onInput={setPassword}
          autocomplete={registering() ? "new-password" : "current-password"}
          required
          maxLength={128}
          {...(registering() && { hint: t().passwordHint, minLength: 8 })}
          error={faults()["password"]}
        />
        <Show when={error()}>
          {(code) => (
            <p class="error" role="alert" data-testid="login-error">
              {say(code())}
            </p>
          )}
        </Show>
        <button class="primary" type="submit" disabled={busy()} data-testid="submit">
          {registering() ? t().register : t().logIn}
        </button>
        <button class="link" type="button" onClick={turn} data-testid="turn">
          {registering() ? t().toLogIn : t().toRegister}
        </button>
      </form>
      <nav class="languages" aria-label={t().language}>
        <For each={Object.entries(LANGUAGES) as [Language, string][]}>
          {([id, label]) => (
            <button
              type="button"
              lang={id}
              aria-pressed={language() === id}
              data-testid={`language-${id}`}
              onClick={() => void setLanguage(id)}
            >
              {label}
            </button>
          )}
        </For>
      </nav>
    </main>
  );
}
