// A labelled input with its hint and its fault.

import { createSignal, createUniqueId, Show } from "solid-js";
import { t } from "../i18n/index.ts";
import { Icon } from "./Icon.tsx";

interface FieldProps {
  label: string;
  name: string;
  value: string;
  onInput: (value: string) => void;
  type?: "text" | "password" | "date" | "number";
  hint?: string;
  error?: string | undefined;
  autocomplete?: string;
  required?: boolean;
  minLength?: number;
  maxLength?: number;
  autofocus?: boolean;
  placeholder?: string;
  /** Of a date or a number. */
  min?: string;
  max?: string;
}

export function Field(props: FieldProps) {
  const id = createUniqueId();
  const [shown, setShown] = createSignal(false);
  const note = () => props.error ?? props.hint;
  return (
    <div class="field" classList={{ bad: props.error !== undefined }}>
      <label for={id}>{props.label}</label>
      <div class="input">
        <input
          id={id}
          name={props.name}
          type={props.type === "password" ? (shown() ? "text" : "password") : (props.type ?? "text")}
          value={props.value}
          onInput={(event) => props.onInput(event.currentTarget.value)}
          autocomplete={props.autocomplete ?? "off"}
          autocapitalize="none"
          spellcheck={false}
          required={props.required ?? false}
          minLength={props.minLength ?? undefined}
          maxLength={props.maxLength ?? undefined}
          min={props.min}
          max={props.max}
          autofocus={props.autofocus ?? false}
          placeholder={props.placeholder ?? ""}
          aria-invalid={props.error !== undefined}
          aria-describedby={note() ? `${id}-note` : undefined}
          dir="auto"
        />
        <Show when={props.type === "password"}>
          <button
            type="button"
            class="icon"
            aria-label={shown() ? t().hidePassword : t().showPassword}
            aria-pressed={shown()}
            onClick={() => setShown(!shown())}
          >
            <Icon name={shown() ? "eyeOff" : "eye"} />
          </button>
        </Show>
      </div>
      <Show when={note()}>
        <p id={`${id}-note`}>{note()}</p>
      </Show>
    </div>
  );
}
