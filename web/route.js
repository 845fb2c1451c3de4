/* Where the page is, kept in the fragment of its address, so that a view can be bookmarked or sent to somebody.
 *
 *   #/                first screen            #/NAME            one pipeline
 *   …?filter=TEXT     what the filter box holds */

export function readRoute(hash) {
  const [path, query = ""] = hash.replace(/^#\/?/, "").split("?");
  let name = null;
  try {
    name = path ? decodeURIComponent(path) : null;
  } catch {
    /* A broken escape names no pipeline. */
  }
  return { name, filter: new URLSearchParams(query).get("filter") ?? "" };
}

export function routeHref(name, filter) {
  const query = filter ? `?${new URLSearchParams({ filter })}` : "";
  return `#/${name ? encodeURIComponent(name) : ""}${query}`;
}
