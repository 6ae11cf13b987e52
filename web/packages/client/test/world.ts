// Devices against a peer over paths that a test can break.

import type { Auth, SignedIn } from "../src/auth.ts";
import { Client } from "../src/client.ts";
import { Cell } from "../src/observable.ts";
import { MemoryStorage } from "../src/storage/memory.ts";
import type { Storage } from "../src/storage/storage.ts";
import type { TimelineItem } from "../src/timeline.ts";
import type { Tabs } from "../src/tabs/tabs.ts";
import type { Browser, TestTab } from "./browser.ts";
import { ManualClock } from "./clock.ts";
import { Peer } from "./peer.ts";
import { Path } from "./wire.ts";

/** A peer, two paths, a clock. */
export class World {
  readonly clock = new ManualClock();
  readonly peer = new Peer();
  readonly webtransport = new Path("webtransport", this.clock, this.peer.accept);
  readonly websocket = new Path("websocket", this.clock, this.peer.accept);
  /** Other edges of the same server, by the address that a drain names. */
  readonly edges = new Map<string, Paths>();

  /** Opens a device. The same storage again is a reload. */
  async device(
    user: string,
    name: string,
    storage: Storage = new MemoryStorage(),
    paths: Partial<Paths> = {},
    auth: Auth = this.auth(user, name),
    tabs?: Tabs,
  ): Promise<Client> {
    return Client.open({
      auth,
      dials: {
        webtransport: (paths.webtransport ?? this.webtransport).dial,
        websocket: (paths.websocket ?? this.websocket).dial,
      },
      elsewhere: (target) => {
        const edge = this.edges.get(target);
        return edge && { webtransport: edge.webtransport.dial, websocket: edge.websocket.dial };
      },
      storage,
      tabs,
      clock: this.clock,
    });
  }

  /**
   * A tab of a browser in which a device is signed in. All tabs share the storage, as tabs share a
   * database.
   */
  tab(browser: Browser, user: string, device: string, storage: Storage): Promise<Client> & { tab: TestTab } {
    const tab = browser.tab();
    return Object.assign(this.device(user, device, storage, {}, this.auth(user, device), tab), { tab });
  }

  /** Another edge. */
  edge(target: string): Paths {
    const edge = { webtransport: this.path("webtransport"), websocket: this.path("websocket") };
    this.edges.set(target, edge);
    return edge;
  }

  /** A path of its own for one device. */
  path(kind: "webtransport" | "websocket"): Path {
    return new Path(kind, this.clock, this.peer.accept);
  }

  /** The part of Auth that a client uses, with tokens of the peer. */
  auth(user: string, device: string): Auth & { refreshed(): void } {
    const signedIn = new Cell<SignedIn | undefined>({
      user: { id: user, name: user, displayName: user.toUpperCase() },
      deviceId: device,
      accessToken: this.peer.token(user, device),
      accessExpiresMs: 0,
      refreshToken: "",
      skewMs: 0,
    });
    return {
      signedIn,
      token: async (rejected?: string) => {
        const now = signedIn.get();
        if (!now) throw new Error("signed out");
        if (now.accessToken === rejected) signedIn.set({ ...now, accessToken: this.peer.token(user, device) });
        return signedIn.get()?.accessToken ?? "";
      },
      // What another tab's refresh looks like from here.
      refreshed: () => {
        const now = signedIn.get();
        if (now) signedIn.set({ ...now, accessToken: this.peer.token(user, device) });
      },
      refreshDueMs: () => Number.POSITIVE_INFINITY,
      forget: () => signedIn.set(undefined),
    } as unknown as Auth & { refreshed(): void };
  }

  /** Waits until a client is online. */
  async online(client: Client): Promise<number> {
    return this.clock.until(() => client.connection.get().status === "online");
  }
}

interface Paths {
  readonly webtransport: Path;
  readonly websocket: Path;
}

/** The texts a person sees, in order. */
export function texts(items: readonly TimelineItem[]): string[] {
  return items.flatMap((item) => (item.body.kind === "message" ? [item.body.text] : []));
}
