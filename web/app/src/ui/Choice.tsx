// One of a few: radio buttons that look like a switch.

import { For } from "solid-js";

export function Choice(props: {
  label: string;
  value: string;
  options: Readonly<Record<string, string>>;
  onChange: (value: string) => Promise<void> | void;
  testid: string;
}) {
  let box!: HTMLFieldSetElement;
  const choose = async (value: string) => {
    await props.onChange(value);
    // What did not work is not chosen.
    for (const input of box.querySelectorAll("input")) input.checked = input.value === props.value;
  };
  return (
    <fieldset class="choice" ref={box}>
      <legend>{props.label}</legend>
      <div>
        <For each={Object.entries(props.options)}>
          {([value, label]) => (
            <label>
              <input
                type="radio"
                name={props.testid}
                value={value}
                checked={props.value === value}
                onChange={() => void choose(value)}
                data-testid={`${props.testid}-${value}`}
              />
              <span>{label}</span>
            </label>
          )}
        </For>
      </div>
    </fieldset>
  );
}
