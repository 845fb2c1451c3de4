/* Nothing has come yet: say so, and give the line that changes it. */

import { useMemo } from "preact/hooks";
import { html } from "./html.js";
import { CopyButton } from "./parts.js";
import { curlLine } from "./sample_event.js";

export function NoEvents({ store }) {
  const http = store.sources.find(({ kind }) => kind === "http");
  const infos = [...store.pipelines.values()].map(({ info }) => info).filter(Boolean);
  const line = useMemo(() => http && curlLine(http, infos, location.origin), [http, infos.length]);
  const others = store.sources.filter(({ kind }) => kind !== "http").map(({ name, kind }) => `${name} (${kind})`);
  return html`<section class="empty" aria-labelledby="empty-head">
    <h2 id="empty-head">No events yet</h2>
    ${line && html`<p>Send one to the source <b>${http.name}</b>; its window shows up below as soon as it closes:</p>
      <div class="command"><pre tabindex="0"><code>${line}</code></pre><${CopyButton} text=${() => line} label="Copy" /></div>`}
    ${others.length > 0 && html`<p>Waiting for the first event from ${others.join(", ")}.</p>`}
    ${store.sources.length === 0 && html`<p>The configuration has no source. Add one under <code>sources:</code> and start weir again.</p>`}
  </section>`;
}
