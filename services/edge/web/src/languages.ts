// Which language a file is in, by the ending of its name.

import { cpp } from "@codemirror/lang-cpp";
import { css } from "@codemirror/lang-css";
import { go } from "@codemirror/lang-go";
import { html } from "@codemirror/lang-html";
import { java } from "@codemirror/lang-java";
import { javascript } from "@codemirror/lang-javascript";
import { json } from "@codemirror/lang-json";
import { markdown } from "@codemirror/lang-markdown";
import { python } from "@codemirror/lang-python";
import { rust } from "@codemirror/lang-rust";
import { yaml } from "@codemirror/lang-yaml";
import type { Extension } from "@codemirror/state";

const LANGUAGES: Record<string, () => Extension> = {
  c: cpp,
  cc: cpp,
  cpp,
  css,
  go,
  h: cpp,
  hpp: cpp,
  htm: html,
  html,
  java,
  js: javascript,
  json,
  jsx: () => javascript({ jsx: true }),
  md: markdown,
  mjs: javascript,
  py: python,
  rs: rust,
  ts: () => javascript({ typescript: true }),
  tsx: () => javascript({ jsx: true, typescript: true }),
  yaml,
  yml: yaml,
};

/** Gives the language of the file at `path`; nothing for one we do not know. */
export function languageOf(path: string): Extension {
  const ending = path.slice(path.lastIndexOf(".") + 1).toLowerCase();
  return LANGUAGES[ending]?.() ?? [];
}
