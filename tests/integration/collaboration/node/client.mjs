// A Yjs editor as everybody writes it: yjs and y-websocket from npm, nothing of ours. It is told
// what to do line by line, as JSON, and answers each line with one.
import { createInterface } from "node:readline";
import WebSocket from "ws";
import { WebsocketProvider } from "y-websocket";
import * as Y from "yjs";

const [url, room, token, offline] = process.argv.slice(2);
const doc = new Y.Doc();
const text = doc.getText("content");
const closes = [];
const provider = new WebsocketProvider(url, room, doc, {
  WebSocketPolyfill: WebSocket,
  disableBc: true,
  connect: !offline,
  params: token ? { token } : {},
  maxBackoffTime: 200,
});
provider.on("connection-close", (event) => closes.push([event?.code ?? 0, String(event?.reason ?? "")]));

const wait = (ms) => new Promise((done) => setTimeout(done, ms));
async function until(condition, ms = 20000) {
  const end = Date.now() + ms;
  while (!condition()) {
    if (Date.now() > end) return false;
    await wait(10);
  }
  return true;
}

const orders = {
  synced: () => until(() => provider.synced),
  text: () => text.toString(),
  until: ({ text: wanted }) => until(() => text.toString() === wanted),
  insert: ({ at, what }) => text.insert(at, what),
  remove: ({ at, count }) => text.delete(at, count),
  say: ({ state }) => provider.awareness.setLocalState(state),
  point: ({ anchor, head }) =>
    provider.awareness.setLocalStateField("cursor", {
      anchor: Y.createRelativePositionFromTypeIndex(text, anchor),
      head: Y.createRelativePositionFromTypeIndex(text, head),
    }),
  pointed: ({ name }) => {
    const state = [...provider.awareness.getStates().values()].find((each) => each.user?.name === name);
    const place = (end) =>
      Y.createAbsolutePositionFromRelativePosition(Y.createRelativePositionFromJSON(end), doc)?.index;
    return state?.cursor ? [place(state.cursor.anchor), place(state.cursor.head)] : null;
  },
  people: ({ count }) => until(() => provider.awareness.getStates().size === count),
  states: () => [...provider.awareness.getStates().values()],
  closed: async () => ((await until(() => closes.length > 0)) ? closes[0] : null),
  refused: async () => {
    const final = () => closes.find(([code]) => code >= 4400 && code < 4500);
    return (await until(final)) ? final() : null;
  },
  reconnecting: () => provider.shouldConnect,
  offline: () => provider.disconnect(),
  online: ({ token: newer }) => {
    if (newer) provider.params = { token: newer };
    provider.connect();
  },
  quit: () => setTimeout(() => process.exit(0), 10),
};

for await (const line of createInterface({ input: process.stdin })) {
  const order = JSON.parse(line);
  process.stdout.write(`${JSON.stringify((await orders[order.do](order)) ?? null)}\n`);
}
