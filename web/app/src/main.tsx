// The page begins here: log in, or the conversations, which are fetched only then.

import { Auth } from "@gogochat/client/auth";
import { createEffect, createSignal, lazy, on, Show } from "solid-js";
import { render } from "solid-js/web";
import { watchDay } from "./format/day.ts";
import { speakOfChats } from "./i18n/index.ts";
import { use } from "./state/bind.ts";
import { applyPrefs } from "./state/prefs.ts";
import { watchViewport } from "./state/viewport.ts";
import { Late } from "./ui/Late.tsx";
import { ShellSkeleton } from "./ui/ShellSkeleton.tsx";
import { LogIn } from "./views/LogIn.tsx";
import "./style/index.css";

const auth = new Auth();
const Shell = lazy(async () => {
  const [shell] = await Promise.all([import("./views/Shell.tsx"), speakOfChats()]);
  return shell;
});

function App() {
  const signedIn = use(auth.signedIn);
  const deviceId = () => signedIn()?.deviceId;
  const [leaving, setLeaving] = createSignal(false);
  const [lost, setLost] = createSignal(false);
  // Signed out by somebody else: say so. By the person: they know.
  createEffect(
    on(deviceId, (now, before) => {
      if (before && !now) setLost(!leaving());
      if (now) {
        setLost(false);
        setLeaving(false);
      }
    }),
  );
  return (
    <Show when={deviceId()} keyed fallback={<LogIn auth={auth} lost={lost()} />}>
      {(id) => (
        <Late fallback={<ShellSkeleton />}>
          <Shell auth={auth} deviceId={id} onLeave={() => setLeaving(true)} />
        </Late>
      )}
    </Show>
  );
}

watchViewport();
watchDay();
await applyPrefs();
const root = document.getElementById("app");
if (root) render(() => <App />, root);
