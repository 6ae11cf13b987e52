// UDP between a browser and the server: forwarded until it is cut, as by a network that begins to drop it.

import { createSocket } from "node:dgram";
import { once } from "node:events";

/** Forwards datagrams of any number of clients to a port of this machine. `cut` drops everything from then on, both ways. */
export async function udpProxy(target) {
  const front = createSocket("udp4");
  const backs = new Map();
  const state = { cut: false, dropped: 0, forwarded: 0 };
  const pass = (send) => {
    if (state.cut) state.dropped++;
    else {
      state.forwarded++;
      send();
    }
  };
  front.on("message", (message, from) => {
    const name = `${from.address}:${from.port}`;
    let back = backs.get(name);
    if (!back) {
      back = createSocket("udp4");
      back.on("message", (reply) => pass(() => front.send(reply, from.port, from.address)));
      back.on("error", () => {});
      backs.set(name, back);
    }
    pass(() => back.send(message, target, "127.0.0.1"));
  });
  front.bind(0, "127.0.0.1");
  await once(front, "listening");
  return {
    port: front.address().port,
    state,
    cut: () => {
      state.cut = true;
    },
    mend: () => {
      state.cut = false;
    },
    close: () => {
      front.close();
      for (const back of backs.values()) back.close();
    },
  };
}

/** A port where UDP arrives and nothing ever answers: what a firewall makes of QUIC. */
export async function udpBlackHole() {
  // Both families: a refused port would tell the browser to give up at once.
  const socket = createSocket({ type: "udp6", ipv6Only: false });
  const state = { dropped: 0 };
  socket.on("message", () => {
    state.dropped++;
  });
  socket.bind(0, "::");
  await once(socket, "listening");
  return { port: socket.address().port, state, close: () => socket.close() };
}
