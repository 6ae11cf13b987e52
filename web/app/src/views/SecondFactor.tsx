// Two-step log-in: turned on with an authenticator, and off again.

import { beginSecondFactor, confirmSecondFactor, type FactorSecret, removeSecondFactor, secondFactor } from "@gogochat/client/second-factor";
import { createSignal, Match, Show, Switch } from "solid-js";
import { renderSVG } from "uqr";
import { moment } from "../format/time.ts";
import { tf } from "../i18n/factor.ts";
import { t } from "../i18n/index.ts";
import { useApp } from "../state/app.ts";
import { type Action, useAction } from "../ui/action.ts";
import { Fault } from "../ui/Fault.tsx";
import { Field } from "../ui/Field.tsx";
import { useLoad } from "../ui/load.ts";
import { Secret } from "../ui/Secret.tsx";

export function SecondFactor() {
  const app = useApp();
  const factor = useLoad(
    () => app.auth,
    (auth) => secondFactor(auth),
  );
  /** What is under way. */
  const [step, setStep] = createSignal<"password" | "confirm" | "keep" | "remove">();
  const [password, setPassword] = createSignal("");
  const [code, setCode] = createSignal("");
  const [drawn, setDrawn] = createSignal<FactorSecret>();
  const [codes, setCodes] = createSignal<string[]>([]);
  const go = (next?: "password" | "confirm" | "keep" | "remove") => {
    setCode("");
    setStep(next);
  };
  const done = () => {
    setPassword("");
    setDrawn(undefined);
    setCodes([]);
    go();
    factor.again();
  };
  const begin = useAction(async () => {
    setDrawn(await beginSecondFactor(app.auth, password()));
    go("confirm");
  });
  const confirm = useAction(async () => {
    setCodes(await confirmSecondFactor(app.auth, code()));
    go("keep");
  });
  const remove = useAction(async () => {
    await removeSecondFactor(app.auth, password(), code());
    app.showToast(tf().turnedOff);
    done();
  });
  return (
    <section data-testid="second-factor">
      <h2 class="part">{tf().title}</h2>
      <Fault text={factor.error()} />
      <Switch fallback={<State />}>
        <Match when={step() === "password"}>
          <form class="stack" onSubmit={begin.submit}>
            <CurrentPassword of={begin} />
            <Buttons of={begin} word={tf().turnOn} testid="factor-begin" />
          </form>
        </Match>
        <Match when={step() === "confirm" && drawn()}>
          {(it) => (
            <form class="stack" onSubmit={confirm.submit}>
              <p>{tf().scan}</p>
              <div class="qr" role="img" aria-label={tf().picture} innerHTML={renderSVG(it().uri)} />
              <Secret text={tf().byHand} secret={it().secret} copy={tf().copy} copied={tf().copied} />
              <Code of={confirm} hint={tf().codeHint} label={tf().code} />
              <Buttons of={confirm} word={tf().turnOn} testid="factor-confirm" />
            </form>
          )}
        </Match>
        <Match when={step() === "keep"}>
          <Secret text={tf().keep} secret={codes().join("\n")} copy={tf().copyAll} copied={tf().copied} />
          <button type="button" class="primary" onClick={done} data-testid="factor-kept">
            {tf().kept}
          </button>
        </Match>
        <Match when={step() === "remove"}>
          <form class="stack" onSubmit={remove.submit}>
            <CurrentPassword of={remove} />
            <Code of={remove} hint={t().factorHint} label={t().factor} />
            <Buttons of={remove} word={tf().turnOff} testid="factor-remove" />
          </form>
        </Match>
      </Switch>
    </section>
  );

  function State() {
    return (
      <Show when={factor.value()}>
        {(it) => (
          <>
            <p data-testid="factor-state">{it().on ? `${tf().on(moment(it().sinceMs))} ${tf().codesLeft(it().recoveryCodesLeft)}` : tf().off}</p>
            <button type="button" class="soft" onClick={() => go(it().on ? "remove" : "password")} data-testid="factor-turn">
              {it().on ? tf().turnOff : tf().turnOn}
            </button>
          </>
        )}
      </Show>
    );
  }

  function CurrentPassword(props: { of: Action }) {
    return (
      <>
        <input type="text" name="username" autocomplete="username" value={app.client.me.name} hidden readOnly />
        <Field
          label={t().currentPassword}
          name="current"
          type="password"
          value={password()}
          onInput={setPassword}
          autocomplete="current-password"
          required
          autofocus
          error={props.of.code() === "wrong_credentials" ? t().wrongPassword : undefined}
        />
      </>
    );
  }

  function Code(props: { of: Action; label: string; hint: string }) {
    return (
      <Field
        label={props.label}
        name="code"
        value={code()}
        onInput={setCode}
        autocomplete="one-time-code"
        required
        maxLength={32}
        hint={props.hint}
        error={props.of.code() === "second_factor_wrong" ? t().errors.second_factor_wrong : undefined}
      />
    );
  }

  function Buttons(props: { of: Action; word: string; testid: string }) {
    const beside = () => ["wrong_credentials", "second_factor_wrong"].includes(props.of.code() ?? "");
    return (
      <>
        <Fault text={beside() ? undefined : props.of.error()} />
        <div class="actions">
          <button type="button" class="soft" onClick={done}>
            {t().cancel}
          </button>
          <button type="submit" class="primary" disabled={props.of.busy()} data-testid={props.testid}>
            {props.word}
          </button>
        </div>
      </>
    );
  }
}
