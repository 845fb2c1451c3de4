/* Puts the page together: store ← socket, route ← location, and a drawing whenever the scheduler allows one. */

import { render } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";
import { html } from "./html.js";
import { Card } from "./card.js";
import { Detail } from "./detail.js";
import { NoEvents } from "./empty.js";
import { createFilter } from "./filter.js";
import { FilterBox } from "./filter_box.js";
import { FourNumbers, StateLine } from "./headline.js";
import { CONFLATE } from "./limits.js";
import { readRoute, routeHref } from "./route.js";
import { createScheduler } from "./scheduler.js";
import { LiveSocket } from "./socket.js";
import { Sources } from "./sources.js";
import { Store } from "./store.js";
import { troubles } from "./troubles.js";

function useRoute() {
  const [route, setRoute] = useState(readRoute(location.hash));
  useEffect(() => {
    const follow = () => setRoute(readRoute(location.hash));
    addEventListener("hashchange", follow);
    return () => removeEventListener("hashchange", follow);
  }, []);
  const setFilter = (filter) => {
    history.replaceState(null, "", routeHref(route.name, filter));
    setRoute({ ...route, filter });
  };
  return [route, setFilter];
}

/** Cards left by the filter: those whose name holds it, whole, and those with keys that match, with these keys only. */
export function filterPipelines(pipelines, filter) {
  if (!filter) return pipelines.map((pipeline) => ({ pipeline, filter: null }));
  return pipelines.flatMap((pipeline) => {
    if (pipeline.name.toLowerCase().includes(filter.text.toLowerCase())) return [{ pipeline, filter: null }];
    const matches = pipeline.results.records().some((record) => filter.matches(record));
    return matches ? [{ pipeline, filter }] : [];
  });
}

function Pipelines({ store, pipelines, route, setFilter }) {
  const shown = filterPipelines(pipelines, createFilter(route.filter));
  return html`<section aria-labelledby="pipelines-head">
    <div class="bar-of-tools"><h2 id="pipelines-head" tabindex="-1">Pipelines</h2><${FilterBox} text=${route.filter} setText=${setFilter} /></div>
    ${shown.length === 0 && html`<p class="nothing">No pipeline or key matches <b>${route.filter}</b>. <button type="button" onClick=${() => setFilter("")}>Clear the filter</button></p>`}
    <div class="cards">${shown.map(({ pipeline, filter }) => html`<${Card} key=${pipeline.name} pipeline=${pipeline} filter=${filter}
      counters=${store.metrics?.pipelines?.[pipeline.name]} href=${routeHref(pipeline.name, filter ? route.filter : "")} />`)}</div>
  </section>`;
}

function Overview({ store, route, setFilter }) {
  const pipelines = [...store.pipelines.values()].filter(({ info }) => info);
  const nothingYet = store.listed && store.metrics?.events_total === 0 && pipelines.every(({ results }) => results.empty);
  return html`
    ${nothingYet && html`<${NoEvents} store=${store} />`}
    ${pipelines.length > 0 && html`<${Pipelines} store=${store} pipelines=${pipelines} route=${route} setFilter=${setFilter} />`}
    ${store.listed && pipelines.length === 0 && html`<p class="nothing">The configuration has no pipeline. Add one under <code>pipelines:</code> and start weir again.</p>`}
    <${Sources} store=${store} />`;
}

function App({ store, retryNow }) {
  const [route, setFilter] = useRoute();
  const left = useRef(route.name);
  const pipeline = route.name === null ? null : store.pipelines.get(route.name);
  useEffect(() => {
    const leave = (event) => {
      if (event.key === "Escape" && route.name !== null) location.hash = routeHref(null, "");
    };
    document.addEventListener("keydown", leave);
    return () => document.removeEventListener("keydown", leave);
  }, [route.name]);
  useEffect(() => {
    if (left.current === route.name) return;
    if (route.name === null) document.getElementById(`card-${left.current}`)?.focus();
    else scrollTo(0, 0);
    left.current = route.name;
  }, [route.name]);
  const stale = store.connection.name !== "live" && store.metricsAt !== null;
  return html`<main class=${stale ? "stale" : ""}>
    <${StateLine} store=${store} retryNow=${retryNow} />
    <${FourNumbers} store=${store} />
    ${route.name === null && html`<${Overview} store=${store} route=${route} setFilter=${setFilter} />`}
    ${pipeline?.info && html`<${Detail} store=${store} pipeline=${pipeline} filter=${createFilter(route.filter)} filterText=${route.filter} setFilter=${setFilter} backHref=${routeHref(null, "")}
      opened=${left.current !== route.name} />`}
    ${route.name !== null && store.listed && !pipeline && html`<p class="nothing">There is no pipeline <b>${route.name}</b>. <a href=${routeHref(null, "")}>All pipelines</a></p>`}
  </main>`;
}

function titleOf(store) {
  if (store.connection.name === "waiting") return "disconnected – weir";
  const [worst] = troubles(store);
  return worst ? `${worst.name} is ${worst.word} – weir` : "weir";
}

function start() {
  const root = document.getElementById("page");
  root.replaceChildren();
  let socket = null;
  const draw = () => {
    render(html`<${App} store=${store} retryNow=${() => socket.retryNow()} />`, root);
    const title = titleOf(store);
    if (document.title !== title) document.title = title;
  };
  const store = new Store({ changed: createScheduler(draw) });
  const subscriptions = { aggregations: { snapshot: true, conflate: CONFLATE, batch: true }, metrics: {}, system_status: {} };
  const address = new URL("/ws", location.href);
  address.protocol = address.protocol === "https:" ? "wss:" : "ws:";
  socket = new LiveSocket(address.href, subscriptions, {
    data: (type, data) => store.takeData(type, data),
    subscribed: (type, confirmation) => store.takeSubscribed(type, confirmation),
    state: (state) => store.takeConnection(state),
    refused: (text) => store.takeRefusal(text),
  });
  addEventListener("online", () => socket.retryNow());
  document.addEventListener("visibilitychange", () => !document.hidden && socket.retryNow());
  draw();
  socket.start();
}

start();
