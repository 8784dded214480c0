// Documents whose lines end in CRLF: their carriage returns are part of the text for everyone who
// edits it, so here too, but nobody sees them or has to step over them.

import { type ChangeSpec, EditorSelection, EditorState, type Extension, RangeSetBuilder, type SelectionRange, type Text } from "@codemirror/state";
import { Decoration, type DecorationSet, EditorView } from "@codemirror/view";
import { ySyncAnnotation } from "y-codemirror.next";

const hidden = Decoration.replace({});

/** The carriage returns before line breaks that are on the screen, `beyond` characters more each. */
function returns(view: EditorView, beyond: number): DecorationSet {
  const { doc } = view.state;
  const found = new RangeSetBuilder<Decoration>();
  let next = 0;
  for (const { from, to } of view.visibleRanges) {
    for (let at = Math.max(from, next); at <= to; at = next) {
      const line = doc.lineAt(at);
      next = line.to + 1;
      if (line.number < doc.lines && line.text.endsWith("\r")) {
        found.add(line.to - 1, line.to + beyond, hidden);
      }
    }
  }
  return found.finish();
}

/** Whether the line at a place ends in CRLF; the last one counts as the one before it does. */
function windows(doc: Text, at: number): boolean {
  const { number } = doc.lineAt(at);
  const ended = number < doc.lines ? number : number - 1;
  return ended > 0 && doc.line(ended).text.endsWith("\r");
}

/** What to change so that, around what somebody typed, no half of a CRLF stands alone. */
function halves(before: Text, after: Text, at: number, from: number, to: number): [number, ChangeSpec][] {
  if (!windows(before, at)) return [];
  const found: [number, ChangeSpec][] = [];
  // The characters beside it too, and theirs.
  const start = Math.max(0, from - 2);
  const text = after.sliceString(start, Math.min(after.length, to + 2));
  for (const { 0: half, index } of text.matchAll(/(?<!\r)\n|\r(?!\n)/g)) {
    const place = start + index;
    if (place < from - 1 || place > to) continue;
    found.push([place, half === "\n" ? { from: place, insert: "\r" } : { from: place, to: place + 1 }]);
  }
  return found;
}

const whole = EditorState.transactionFilter.of((transaction) => {
  // What others did stands as it is: it is in their documents too.
  if (!transaction.docChanged || transaction.annotation(ySyncAnnotation) !== undefined) return transaction;
  const changes = new Map<number, ChangeSpec>();
  transaction.changes.iterChanges((fromA, _toA, fromB, toB) => {
    for (const [place, change] of halves(transaction.startState.doc, transaction.newDoc, fromA, fromB, toB)) {
      changes.set(place, change);
    }
  });
  return changes.size ? [transaction, { changes: [...changes.values()], sequential: true }] : transaction;
});

// The keyboard steps over a whole CRLF. The pointer, right of a line's end, means before it: the
// middle of a range that is stepped over would be taken for its end, which is the next line.
let stepped = 1;
const steps = EditorView.domEventHandlers({
  mousedown: () => void (stepped = 0),
  keydown: () => void (stepped = 1),
});

const pointed = EditorState.transactionFilter.of((transaction) => {
  const { selection, newDoc } = transaction;
  if (!selection || !transaction.isUserEvent("select.pointer")) return transaction;
  const before = (at: number) => (newDoc.sliceString(at - 1, at + 1) === "\r\n" ? at - 1 : at);
  const aims = (range: SelectionRange) => before(range.anchor) === range.anchor && before(range.head) === range.head;
  // A range as it is knows more than its ends: on which side of a wrapped line's break it is.
  if (selection.ranges.every(aims)) return transaction;
  const ranges = selection.ranges.map((range) =>
    aims(range) ? range : EditorSelection.range(before(range.anchor), before(range.head)),
  );
  return [transaction, { selection: EditorSelection.create(ranges, selection.mainIndex) }];
});

/** Counts a line break as the text does, whatever it is, and keeps to what the document uses. */
export const lineBreaks: Extension = [
  // By itself CodeMirror takes CRLF for one character, which in the text are two.
  EditorState.lineSeparator.of("\n"),
  EditorView.clipboardInputFilter.of((text) => text.replace(/\r\n?/g, "\n")),
  EditorView.decorations.of((view) => returns(view, 0)),
  EditorView.atomicRanges.of((view) => returns(view, stepped)),
  steps,
  pointed,
  whole,
];
