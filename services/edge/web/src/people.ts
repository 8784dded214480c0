// Who else has the document open: a colour each, and their names above it.

import type { Awareness } from "y-protocols/awareness";

/** A person as their awareness state tells; written by their client, so nothing of it is sure. */
interface Person {
  name: string;
  color: string;
}

/** Gives the colour of a user's cursor and selection: theirs wherever they are, by their subject. */
export function colourOf(subject: string): { color: string; colorLight: string } {
  let hash = 0;
  for (const character of subject) hash = (hash * 31 + (character.codePointAt(0) ?? 0)) % 360;
  return { color: `hsl(${hash} 65% 32%)`, colorLight: `hsl(${hash} 70% 60% / 30%)` };
}

/** Keeps the people of a document listed in `list`, ourselves last. */
export function showPeople(list: HTMLElement, awareness: Awareness): void {
  const show = (): void => {
    const others = [...awareness.getStates()]
      .filter(([client]) => client !== awareness.clientID)
      .map(([, state]) => personOf(state));
    const own = personOf(awareness.getLocalState());
    list.replaceChildren(...others.map((one) => chip(one, "")), chip(own, " (you)"));
  };
  awareness.on("change", show);
  show();
}

function personOf(state: Record<string, unknown> | null): Person {
  const user: Partial<Person> = Object(state?.["user"]);
  const name = typeof user.name === "string" && user.name.trim() ? user.name.slice(0, 60) : "Somebody";
  return { name, color: typeof user.color === "string" ? user.color : "gray" };
}

function chip(person: Person, suffix: string): HTMLElement {
  const item = document.createElement("li");
  item.textContent = person.name + suffix;
  item.style.setProperty("--colour", person.color);
  return item;
}
