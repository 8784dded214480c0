// Whether what is typed reaches the others, in words.

import type { WebsocketProvider } from "y-websocket";

const WORDS = {
  connecting: "Connecting …",
  live: "Live",
  refused: "Read only: what you see can be copied, and nothing more is saved",
  offline: "Offline: what you type is kept and sent when the connection is back",
} as const;

/** Close codes from here to `FINAL_LAST` mean that the server will not have us again. */
const FINAL_FIRST = 4400;
const FINAL_LAST = 4499;

/** The line that says how the connection is. */
export class Status {
  constructor(private readonly element: HTMLElement) {
    this.show("connecting", WORDS.connecting);
  }

  /** Follows a provider; one that the server has shut out for good stays so, and is told of once. */
  follow(provider: WebsocketProvider, onRefused: () => void): void {
    let opened = false;
    let refused = false;
    provider.on("sync", (synced: boolean) => {
      opened ||= synced;
      if (synced) this.show("live", WORDS.live);
    });
    provider.on("status", ({ status }: { status: string }) => {
      if (refused || status === "connected") return;
      if (opened) this.show("offline", WORDS.offline);
      else this.show("connecting", WORDS.connecting);
    });
    provider.on("connection-close", (event: CloseEvent | null) => {
      if (event === null || event.code < FINAL_FIRST || event.code > FINAL_LAST) return;
      refused = true;
      const reason = event.reason || "The server has closed this document for you";
      this.show("refused", opened ? `${reason}. ${WORDS.refused}` : reason);
      onRefused();
    });
  }

  private show(state: string, words: string): void {
    this.element.className = `connection ${state}`;
    this.element.textContent = words;
  }
}
