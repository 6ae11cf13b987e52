// The real server, started for a test on free ports and a folder of its own.

import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("../../../", import.meta.url));

/** The binary under test: GOGOCHAT_BIN, or what `cargo build` made. */
export function binary() {
  const target = process.env.CARGO_TARGET_DIR ?? join(root, "target");
  const path = process.env.GOGOCHAT_BIN ?? join(target, "debug/gogochat");
  if (!existsSync(path)) throw new Error(`${path} is not there: build the server, or set GOGOCHAT_BIN`);
  return path;
}

/**
 * A port that nobody listens on. It is below those that systems give to outgoing connections: one of
 * them would take it while the server is down.
 */
export async function freePort() {
  for (;;) {
    const port = 12_000 + Math.floor(Math.random() * 20_000);
    const server = createServer();
    const free = await new Promise((resolve) => server.once("error", () => resolve(false)).listen(port, "127.0.0.1", () => resolve(true)));
    if (!free) continue;
    server.close();
    await once(server, "close");
    return port;
  }
}

/** `gogochat dev`: page on http, WebTransport with a certificate that the page knows by its hash. */
export async function startDev({ edgeHost = "127.0.0.1" } = {}) {
  const [http, edge, grpc] = await Promise.all([freePort(), freePort(), freePort()]);
  const data = mkdtempSync(join(tmpdir(), "gogochat-e2e-"));
  const address = (port) => `127.0.0.1:${port}`;
  const args = ["dev", "--data", data, "--http", address(http), "--edge", `${edgeHost}:${edge}`, "--grpc", address(grpc)];
  return start(args, data, { http, edge, page: `http://127.0.0.1:${http}` });
}

/** `gogochat serve` with a certificate for localhost: page on https, wss; WebTransport where `webtransportUrl` says. */
export async function startServe({ certificate, key, webtransportUrl }) {
  const [http, edge] = await Promise.all([freePort(), freePort()]);
  const data = mkdtempSync(join(tmpdir(), "gogochat-e2e-"));
  const file = join(data, "gogochat.toml");
  const lines = [
    `roles = ["edge", "core"]`,
    `data = ${JSON.stringify(data)}`,
    `[http]`,
    `listen = ["127.0.0.1:${http}"]`,
    `[edge]`,
    `listen = ["127.0.0.1:${edge}"]`,
    `certificate = ${JSON.stringify(certificate)}`,
    `key = ${JSON.stringify(key)}`,
    `origins = ["https://localhost:${edge}"]`,
    `webtransport_url = ${JSON.stringify(webtransportUrl)}`,
    `[core]`,
    `grpc = []`,
    `trust_loopback = true`,
  ];
  writeFileSync(file, `${lines.join("\n")}\n`);
  return start(["serve", "--config", file], data, { http, edge, page: `https://localhost:${edge}` });
}

async function start(args, data, addresses) {
  let running = await run(args, addresses.http);
  const stop = async () => {
    await running.end("SIGTERM");
    rmSync(data, { recursive: true, force: true });
  };
  return {
    ...addresses,
    data,
    stop,
    /** kill -9: no goodbye. */
    kill: () => running.end("SIGKILL"),
    /** Starts it again with the same data on the same ports. */
    again: async () => {
      running = await run(args, addresses.http);
    },
  };
}

async function run(args, http) {
  const child = spawn(binary(), args, { stdio: ["ignore", "pipe", "pipe"] });
  let said = "";
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding("utf8").on("data", (text) => {
      said = (said + text).slice(-20_000);
    });
  }
  const ended = once(child, "exit");
  const end = async (signal) => {
    if (child.exitCode === null && child.signalCode === null) child.kill(signal);
    const hard = setTimeout(() => child.kill("SIGKILL"), 10_000);
    await ended;
    clearTimeout(hard);
  };
  const deadline = Date.now() + 30_000;
  while (!(await isReady(http))) {
    if (child.exitCode !== null || Date.now() > deadline) {
      await end("SIGKILL");
      throw new Error(`the server did not become ready:\n${said}`);
    }
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  return { end };
}

async function isReady(port) {
  try {
    return (await fetch(`http://127.0.0.1:${port}/readyz`)).ok;
  } catch {
    return false;
  }
}
