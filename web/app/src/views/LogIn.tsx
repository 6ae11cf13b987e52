// Logging in and creating an account.

import type { Auth } from "@gogochat/client/auth";
import { createSignal, For, Show } from "solid-js";
import { LANGUAGES, type Language, language, t } from "../i18n/index.ts";
import { deviceName } from "../format/device.ts";
import { codeOf } from "../format/errors.ts";
import { setLanguage } from "../state/prefs.ts";
import { useAction } from "../ui/action.ts";
import { Field } from "../ui/Field.tsx";
import { Wordless } from "../ui/Wordless.tsx";

export function LogIn(props: { auth: Auth; lost: boolean }) {
  const [registering, setRegistering] = createSignal(false);
  const [name, setName] = createSignal("");
  const [displayName, setDisplayName] = createSignal("");
  const [password, setPassword] = createSignal("");
  const [ownPassword, setOwnPassword] = createSignal("");
  const [invitation, setInvitation] = createSignal("");
  // What is asked for once the server wants it.
  const [factor, setFactor] = createSignal("");
  const [wanted, setWanted] = createSignal<"password" | "invitation" | "factor">();
  const enter = useAction(async () => {
    const who = name().trim().toLowerCase();
    try {
      if (registering()) await props.auth.register(who, password(), displayName().trim(), deviceName(), invitation().trim());
      else await props.auth.logIn(who, password(), deviceName(), ownPassword(), factor());
    } catch (error) {
      const code = codeOf(error);
      if (code === "password_change_required") setWanted("password");
      if (code === "invitation_invalid") setWanted("invitation");
      if (code === "second_factor_required") setWanted("factor");
      throw error;
    }
  });
  const hint = (field: string, text: string) => (enter.faulty(field) ? text : undefined);
  const turn = () => {
    setRegistering(!registering());
    setWanted(undefined);
    enter.clear();
  };

  return (
    <main class="login">
      <form class="card" onSubmit={enter.submit} aria-busy={enter.busy()} data-testid="login">
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
          error={hint("name", t().nameHint)}
        />
        <Show when={registering()}>
          <Field
            label={t().optional(t().displayName)}
            name="displayName"
            value={displayName()}
            onInput={setDisplayName}
            autocomplete="nickname"
            maxLength={64}
            hint={t().displayNameHint}
            error={hint("displayName", t().displayNameHint)}
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
          error={hint("password", t().passwordHint)}
        />
        <Show when={wanted() === "password"}>
          <Field
            label={t().ownPassword}
            name="newPassword"
            type="password"
            value={ownPassword()}
            onInput={setOwnPassword}
            autocomplete="new-password"
            required
            minLength={8}
            maxLength={128}
            hint={t().ownPasswordHint}
            error={hint("newPassword", t().passwordHint)}
          />
        </Show>
        <Show when={wanted() === "factor"}>
          <Field
            label={t().factor}
            name="factor"
            value={factor()}
            onInput={setFactor}
            autocomplete="one-time-code"
            required
            autofocus
            maxLength={32}
            hint={t().factorHint}
            error={enter.code() === "second_factor_wrong" ? t().errors.second_factor_wrong : undefined}
          />
        </Show>
        <Show when={wanted() === "invitation"}>
          <Field
            label={t().invitation}
            name="invitation"
            value={invitation()}
            onInput={setInvitation}
            required
            hint={t().invitationHint}
          />
        </Show>
        <Show when={enter.code() !== "second_factor_wrong" && enter.error()}>
          <p class="error" role="alert" data-testid="login-error">
            {enter.error()}
          </p>
        </Show>
        <button class="primary" type="submit" disabled={enter.busy()} data-testid="submit">
          {registering() ? t().register : t().logIn}
        </button>
        <button class="link" type="button" onClick={turn} data-testid="turn">
          {registering() ? t().toLogIn : t().toRegister}
        </button>
      </form>
      <Wordless />
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
