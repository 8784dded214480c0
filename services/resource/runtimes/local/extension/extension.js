// Tells the runtime when somebody works in this editor, by the times of files in the directory
// that CODESTUDIO_ACTIVITY_DIR names:
//
//   input       modified when somebody last did something here
//   notice.json what the runtime has us show, while it is there
//   host-<pid>  modified when this extension host began to look; without it the runtime knows
//               that an editor is open whose input it cannot see
//
// It changes nothing that anybody sees but for that notice, and without the variable it does
// nothing at all.
"use strict";

const { watch } = require("node:fs");
const fs = require("node:fs/promises");
const path = require("node:path");
const vscode = require("vscode");

/** Milliseconds between two reports at least; the runtime looks every 15 seconds. */
const REPORT_EVERY = 5_000;
/** Milliseconds between two looks at whether the window is active. */
const LOOK_EVERY = 10_000;
/** Milliseconds within which a browser that is there answers. */
const ANSWER_WITHIN = 5_000;
/** What changes by itself, such as the log of an extension, is nobody's work. */
const UNTOUCHED = new Set(["output", "debug"]);

class Reporter {
  constructor(directory) {
    this.directory = directory;
    this.last = 0;
    this.told = 0;
    this.timer = undefined;
  }

  /** Takes note of input at this moment, and reports it now or when it is time again. */
  note() {
    this.last = Date.now();
    if (this.timer === undefined) {
      this.tell();
    }
  }

  tell() {
    this.timer = undefined;
    if (this.last === this.told) {
      return;
    }
    this.told = this.last;
    this.timer = setTimeout(() => this.tell(), REPORT_EVERY);
    touch(this.directory, "input", this.last);
  }

  dispose() {
    clearTimeout(this.timer);
  }
}

/** Sets the time of a file, made where it is not there. A full disk is not the editor's trouble. */
async function touch(directory, name, milliseconds) {
  try {
    await fs.mkdir(directory, { recursive: true, mode: 0o700 });
    const file = await fs.open(path.join(directory, name), "a", 0o600);
    try {
      await file.utimes(milliseconds / 1000, milliseconds / 1000);
    } finally {
      await file.close();
    }
  } catch (error) {
    console.warn(`activity is not reported: ${error}`);
  }
}

/** Removes what hosts left that ended without a word. */
async function sweep(directory) {
  for (const name of await fs.readdir(directory).catch(() => [])) {
    const pid = Number(/^host-(\d+)$/.exec(name)?.[1]);
    if (pid && !isAlive(pid)) {
      await fs.unlink(path.join(directory, name)).catch(() => {});
    }
  }
}

function isAlive(pid) {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return error.code === "EPERM";
  }
}

/**
 * Asks whether a browser is there: a host lives on for hours after its browser has gone, and
 * goes on believing what it was last told of the window.
 */
class Browser {
  constructor() {
    this.isAsked = false;
  }

  async answers() {
    if (this.isAsked) {
      return false; // it has not answered the last time yet
    }
    this.isAsked = true;
    const asked = Date.now();
    try {
      await vscode.commands.executeCommand("setContext", "codestudio.activity.asked", asked);
      return Date.now() - asked < ANSWER_WITHIN;
    } catch {
      return false;
    } finally {
      this.isAsked = false;
    }
  }
}

/** Shows what the runtime has to say, each notice once. */
class Notices {
  constructor(directory, onKeep) {
    this.file = path.join(directory, "notice.json");
    this.onKeep = onKeep;
    this.shown = "";
  }

  async look() {
    const text = await fs.readFile(this.file, "utf8").catch(() => "");
    if (text === this.shown) {
      return;
    }
    this.shown = text;
    if (!text) {
      return;
    }
    try {
      const notice = JSON.parse(text);
      const keep = "Keep it running";
      const chosen = await vscode.window.showWarningMessage(
        String(notice.message),
        ...(notice.offer_to_keep ? [keep] : []),
      );
      if (chosen === keep) {
        this.onKeep();
      }
    } catch (error) {
      console.warn(`notice is not shown: ${error}`);
    }
  }
}

/** Has something done when files of a directory change; where the system cannot, nothing. */
function whenChanged(directory, act) {
  try {
    const watcher = watch(directory, act);
    watcher.on("error", () => watcher.close());
    return { dispose: () => watcher.close() };
  } catch (error) {
    console.warn(`${directory} is not watched: ${error}`);
    return { dispose: () => {} };
  }
}

function isInFront(editor) {
  return editor === vscode.window.activeTextEditor && !UNTOUCHED.has(editor.document.uri.scheme);
}

exports.activate = (context) => {
  const directory = process.env.CODESTUDIO_ACTIVITY_DIR;
  if (!directory) {
    return;
  }
  const reporter = new Reporter(directory);
  const browser = new Browser();
  const note = () => reporter.note();
  const notices = new Notices(directory, note);
  const looking = setInterval(async () => {
    notices.look();
    // VS Code says so for some 70 seconds after a key, a click or a touch.
    if (vscode.window.state.active && (await browser.answers())) {
      note();
    }
  }, LOOK_EVERY);
  context.subscriptions.push(
    reporter,
    { dispose: () => clearInterval(looking) },
    vscode.window.onDidChangeWindowState((state) => state.active && note()),
    vscode.window.onDidChangeTextEditorSelection(
      (event) => event.kind !== undefined && isInFront(event.textEditor) && note(),
    ),
    // The wheel, of which the window's state does not tell.
    vscode.window.onDidChangeTextEditorVisibleRanges(
      (event) => vscode.window.state.focused && isInFront(event.textEditor) && note(),
    ),
    // Not changes of documents: VS Code writes its settings by itself, in one nobody sees.
    vscode.window.onDidChangeTerminalState((terminal) => terminal.state.isInteractedWith && note()),
    vscode.window.onDidStartTerminalShellExecution(note),
    vscode.tasks.onDidStartTask(note),
    vscode.debug.onDidStartDebugSession(note),
  );
  sweep(directory)
    .then(() => touch(directory, `host-${process.pid}`, Date.now()))
    .then(() => context.subscriptions.push(whenChanged(directory, () => notices.look())));
};
