// The page at /edit/<namespace>/<project>/<path>: one document, edited by everyone who has it open.

import { indentWithTab } from "@codemirror/commands";
import { Compartment, EditorState } from "@codemirror/state";
import { oneDark } from "@codemirror/theme-one-dark";
import { EditorView, keymap } from "@codemirror/view";
import { basicSetup } from "codemirror";
import { yCollab, yUndoManagerKeymap } from "y-codemirror.next";
import { WebsocketProvider } from "y-websocket";
import * as Y from "yjs";

import { languageOf } from "./languages";
import { lineBreaks } from "./lines";
import { colourOf, showPeople } from "./people";
import { Status } from "./status";

/** Name of the text inside a document, the same for every client (document.proto). */
const TEXT = "content";

/** What edge wrote into the page. */
interface Page {
  /** Room: namespace, project and path, each escaped. */
  room: string;
  path: string;
  subject: string;
  name: string;
  readonly: boolean;
}

function read(element: HTMLElement): Page {
  const { room = "", path = "", subject = "", name = "", readonly } = element.dataset;
  return { room, path, subject, name, readonly: readonly !== undefined };
}

function find(id: string): HTMLElement {
  const element = document.getElementById(id);
  if (element === null) throw new Error(`the page has no #${id}`);
  return element;
}

const parent = find("editor");
const page = read(parent);
const status = new Status(find("status"));

const doc = new Y.Doc();
const text = doc.getText(TEXT);
// Tabs of one browser meet at the server like everyone else: two ways for one edit would hide
// from a person that the connection is gone.
const provider = new WebsocketProvider(new URL("/yjs", location.href).href.replace(/^http/, "ws"), page.room, doc, {
  disableBc: true,
});
provider.awareness.setLocalStateField("user", { name: page.name, ...colourOf(page.subject) });
showPeople(find("people"), provider.awareness);

const nonce = document.querySelector<HTMLScriptElement>("script[nonce]")?.nonce ?? "";

/** What may be done to the text: everything, or nothing but reading and copying. */
const access = new Compartment();
const writing = keymap.of([...yUndoManagerKeymap, indentWithTab]);
const reading = EditorState.readOnly.of(true);

function open(): EditorView {
  const view = new EditorView({
    parent,
    state: EditorState.create({
      doc: text.toString(),
      extensions: [
        // Before the set-up, whose history would undo other people's edits too, and which would show
        // carriage returns.
        access.of(page.readonly ? reading : writing),
        lineBreaks,
        basicSetup,
        EditorView.cspNonce.of(nonce),
        EditorView.lineWrapping,
        EditorView.contentAttributes.of({ "aria-label": page.path }),
        languageOf(page.path),
        matchMedia("(prefers-color-scheme: dark)").matches ? oneDark : [],
        yCollab(text, provider.awareness),
      ],
    }),
  });
  view.focus();
  return view;
}

// Nothing can be typed before the document is there: what is typed into an empty one would stand
// before the text.
let view: EditorView | undefined;
provider.once("sync", () => {
  view = open();
});
// Nor where it would reach nobody any more: it would be lost with the page.
status.follow(provider, () => view?.dispatch({ effects: access.reconfigure(reading) }));
addEventListener("pagehide", () => provider.destroy());
