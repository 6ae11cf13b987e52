// A person in a list.

import type { Person } from "@gogochat/client";
import { type JSX, Show } from "solid-js";
import { useApp } from "../state/app.ts";
import { Apart } from "../ui/Apart.tsx";
import { Avatar } from "../ui/Avatar.tsx";

/** A person with their name and presence. */
export function PersonLine(props: { person: Person; children?: JSX.Element }) {
  const app = useApp();
  return (
    <div class="person" data-testid="person" data-name={props.person.name}>
      <Avatar id={props.person.id} name={props.person.displayName} online={app.online(props.person.id)} small />
      <div>
        <b>
          <Apart text={props.person.displayName} />
        </b>
        <p>@{props.person.name}</p>
        <Show when={props.person.signature}>
          {(signature) => (
            <p class="note" data-testid="signature">
              <Apart text={signature()} />
            </p>
          )}
        </Show>
      </div>
      {props.children}
    </div>
  );
}
