// The page of a signed-in device: rail, left pane, conversation.

import { type Auth, type Client, open, type ServerConfig } from "@gogochat/client";
import { createSignal, lazy, Match, onCleanup, onMount, Show, Switch } from "solid-js";
import { t } from "../i18n/index.ts";
import { type AppState, AppProvider, createAppState } from "../state/app.ts";
import { watchAttention } from "../state/attention.ts";
import { forgetDrafts } from "../state/drafts.ts";
import { read, write } from "../state/kept.ts";
import { watchKeys } from "../state/keys.ts";
import { go, joining, narrow, route } from "../state/route.ts";
import { watchVersion } from "../state/version.ts";
import { watchUnsent } from "../state/unsent.ts";
import { Late } from "../ui/Late.tsx";
import { Notices } from "../ui/Notices.tsx";
import { ShellSkeleton } from "../ui/ShellSkeleton.tsx";
import { Toast } from "../ui/Toast.tsx";
import { Chat } from "./Chat.tsx";
import { ChatList } from "./ChatList.tsx";
import { Contacts } from "./Contacts.tsx";
import { Jump } from "./Jump.tsx";
import { Nothing } from "./Nothing.tsx";
import { Rail } from "./Rail.tsx";
import { Settings } from "./Settings.tsx";
import { Shortcuts } from "./Shortcuts.tsx";

// For administrators alone: others never load it.
const AdminList = lazy(() => import("./Admin.tsx").then(({ AdminList }) => ({ default: AdminList })));
const AdminMain = lazy(() => import("./Admin.tsx").then(({ AdminMain }) => ({ default: AdminMain })));

// For who joins a group.
const JoinGroup = lazy(() => import("./JoinGroup.tsx").then(({ JoinGroup }) => ({ default: JoinGroup })));

function Join(props: { code: string }) {
  return (
    <Late fallback={null}>
      <JoinGroup code={props.code} onClose={() => go("chats")} />
    </Late>
  );
}

export default function Shell(props: { auth: Auth; deviceId: string; onLeave: () => void }) {
  const [client, setClient] = createSignal<Client>();
  const [failed, setFailed] = createSignal(false);
  let leaving = false;
  let gone = false;
  const start = async () => {
    setFailed(false);
    try {
      const opened = await open(props.auth, await serverConfig(), { again: serverConfig });
      if (gone) await opened.close();
      else setClient(opened);
    } catch {
      setFailed(true);
    }
  };
  const leave = async () => {
    leaving = true;
    props.onLeave();
    await props.auth.logOut();
  };
  onMount(() => void start());
  onCleanup(() => {
    gone = true;
    // Also when another device has signed this one out: nothing of the account stays behind.
    if (leaving || !props.auth.signedIn.get()) {
      forgetDrafts();
      go("chats");
      void client()?.destroy();
    } else {
      void client()?.close();
    }
  });
  return (
    <Switch fallback={<ShellSkeleton />}>
      <Match when={client()}>{(ready) => <SignedIn auth={props.auth} client={ready()} leave={() => void leave()} />}</Match>
      <Match when={failed()}>
        <main class="login">
          <div class="card empty" role="alert">
            <h1>{t().errors.offline}</h1>
            <button type="button" class="primary" onClick={() => void start()}>
              {t().retry}
            </button>
          </div>
        </main>
      </Match>
    </Switch>
  );
}

function SignedIn(props: { auth: Auth; client: Client; leave: () => void }) {
  const app: AppState = createAppState(props.auth, props.client, props.leave);
  const [dialog, setDialog] = createSignal<"jump" | "shortcuts">();
  watchAttention(app);
  watchUnsent(app);
  watchVersion(app);
  watchKeys(app, { jump: () => setDialog("jump"), help: () => setDialog("shortcuts") });
  const paneName = () => ({ chats: t().chats, contacts: t().contacts, settings: t().settings, admin: t().administration })[route().section];
  const inChat = () => route().conversation !== undefined && joining() === undefined;
  // Who is no administrator is at home among the conversations.
  const administering = () => route().section === "admin" && app.administrator();
  return (
    <AppProvider value={app}>
      <div class="shell" classList={{ narrow: narrow(), "in-chat": inChat() }}>
        {/* Where there is room for one pane the other is hidden, and keeps what a person has begun there. */}
        <Rail hidden={narrow() && inChat()} onShortcuts={() => setDialog("shortcuts")} />
        <section class="list" role={narrow() ? "main" : undefined} aria-label={paneName()} hidden={narrow() && inChat()} data-testid="pane">
          <Switch fallback={<ChatList />}>
            <Match when={route().section === "contacts"}>
              <Contacts />
            </Match>
            <Match when={route().section === "settings"}>
              <Settings />
            </Match>
            <Match when={administering()}>
              <Late fallback={<p class="hint late">{t().loading}</p>}>
                <AdminList />
              </Late>
            </Match>
          </Switch>
          {/* Below: what comes and goes moves nothing that somebody is about to click. */}
          <Notices />
        </section>
        <main class="main" hidden={narrow() && !inChat()}>
          <Show
            when={!administering()}
            fallback={
              <Late fallback={<p class="hint late">{t().loading}</p>}>
                <AdminMain />
              </Late>
            }
          >
            <Show when={joining() === undefined && route().conversation} keyed fallback={<Nothing />}>
              {(id) => <Chat id={id} />}
            </Show>
          </Show>
        </main>
      </div>
      <Show when={joining()} keyed fallback={<Show when={joining() === ""}><Join code="" /></Show>}>
        {(code) => <Join code={code} />}
      </Show>
      <Show when={dialog() === "jump"}>
        <Jump onClose={() => setDialog(undefined)} />
      </Show>
      <Show when={dialog() === "shortcuts"}>
        <Shortcuts onClose={() => setDialog(undefined)} />
      </Show>
      <Toast />
    </AppProvider>
  );
}

/** Where the server is. It stays known for when the page is opened without a connection. */
async function serverConfig(): Promise<ServerConfig> {
  const key = "server";
  try {
    const response = await fetch("/client-config.json", { cache: "no-store" });
    if (!response.ok) throw new Error(`HTTP status ${response.status}`);
    const config: ServerConfig = await response.json();
    write(key, JSON.stringify(config));
    return config;
  } catch (error) {
    const kept = read(key);
    if (kept) return JSON.parse(kept);
    throw error;
  }
}
