// What one says of oneself, to be changed.

import { type Gender, profile, updateProfile } from "@gogochat/client/profile";
import { createSignal, Show } from "solid-js";
import { t } from "../i18n/index.ts";
import { useApp } from "../state/app.ts";
import { useAction } from "../ui/action.ts";
import { Choice } from "../ui/Choice.tsx";
import { Fault } from "../ui/Fault.tsx";
import { Field } from "../ui/Field.tsx";

export function ProfileForm() {
  const app = useApp();
  const [open, setOpen] = createSignal(false);
  const [displayName, setDisplayName] = createSignal("");
  const [signature, setSignature] = createSignal("");
  const [birthday, setBirthday] = createSignal("");
  const [gender, setGender] = createSignal<Gender>("");
  const edit = useAction(async () => {
    const now = await profile(app.auth);
    setDisplayName(now.person.displayName);
    setSignature(now.person.signature ?? "");
    setBirthday(now.birthday);
    setGender(now.gender);
    setOpen(true);
  });
  const save = useAction(async () => {
    await updateProfile(app.auth, {
      displayName: displayName(),
      signature: signature(),
      birthday: birthday(),
      gender: gender(),
    });
    setOpen(false);
    app.showToast(t().profileSaved);
  });
  const fault = (field: string, text: string) => (save.faulty(field) ? text : undefined);
  const said = () => ["displayName", "signature", "birthday"].some((field) => save.faulty(field));
  return (
    <Show
      when={open()}
      fallback={
        <>
          <button type="button" class="soft" disabled={edit.busy()} data-testid="edit-profile" onClick={() => void edit.run()}>
            {t().editProfile}
          </button>
          <Fault text={edit.error()} />
        </>
      }
    >
      <form class="stack" onSubmit={save.submit} data-testid="profile">
        <Field
          label={t().displayName}
          name="displayName"
          value={displayName()}
          onInput={setDisplayName}
          autocomplete="nickname"
          maxLength={64}
          autofocus
          hint={t().displayNameHint}
          error={fault("displayName", t().displayNameHint)}
        />
        <Field
          label={t().signature}
          name="signature"
          value={signature()}
          onInput={setSignature}
          maxLength={140}
          hint={t().signatureHint}
          error={fault("signature", t().signatureHint)}
        />
        <Field
          label={t().birthday}
          name="birthday"
          type="date"
          value={birthday()}
          onInput={setBirthday}
          autocomplete="bday"
          min="1900-01-01"
          hint={t().onlyYou}
          error={fault("birthday", t().badBirthday)}
        />
        <Choice
          label={t().gender}
          value={gender() || "none"}
          options={{ none: t().genderNone, female: t().genderFemale, male: t().genderMale, other: t().genderOther }}
          onChange={(next) => void setGender(next === "none" ? "" : (next as Gender))}
          testid="gender"
        />
        <Fault text={said() ? undefined : save.error()} />
        <div class="actions">
          <button type="submit" class="primary" disabled={save.busy()} data-testid="save-profile">
            {t().save}
          </button>
          <button type="button" class="soft" onClick={() => setOpen(false)}>
            {t().cancel}
          </button>
        </div>
      </form>
    </Show>
  );
}
