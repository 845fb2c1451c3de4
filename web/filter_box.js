/* The filter box. "/" anywhere puts the cursor in it, Escape empties it. */

import { useEffect, useRef } from "preact/hooks";
import { html } from "./html.js";

function isTyping(target) {
  return target instanceof HTMLElement && (target.isContentEditable || /^(INPUT|TEXTAREA|SELECT)$/.test(target.tagName));
}

export function FilterBox({ text, setText }) {
  const input = useRef(null);
  useEffect(() => {
    const focus = (event) => {
      if (event.key !== "/" || event.ctrlKey || event.metaKey || event.altKey || isTyping(event.target)) return;
      event.preventDefault();
      input.current.focus();
    };
    document.addEventListener("keydown", focus);
    return () => document.removeEventListener("keydown", focus);
  }, []);
  const empty = (event) => {
    if (event.key !== "Escape" || !text) return;
    event.stopPropagation();
    setText("");
  };
  return html`<label class="field filter"><span>filter</span>
    <input ref=${input} type="search" value=${text} spellcheck="false" autocomplete="off" placeholder="FR or revenue>100"
      title="Words that must all hold: part of a key, name=value, or name>number. Press / to come here."
      onInput=${(event) => setText(event.currentTarget.value)} onKeyDown=${empty} /></label>`;
}
