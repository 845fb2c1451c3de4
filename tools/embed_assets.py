#!/usr/bin/env python3
"""Turns the files of the page into one C file with a table of `struct web_asset`.

    embed_assets.py WEB_FOLDER OUTPUT.c

Assets are every .html, .css, .js and .svg file of WEB_FOLDER (but node_modules and tests) and the files that
WEB_FOLDER/assets.txt names, one a line: `URL-PATH FILE [MODULE-NAME]`, FILE relative to WEB_FOLDER. MODULE-NAME is
the bare name under which scripts import that file.

Scripts and style sheets get their content's hash in their name, and every reference to them in the other files
is rewritten, so that browsers may keep them for ever and still never see a stale one.
"""

import gzip
import hashlib
import posixpath
import re
import sys
from pathlib import Path

CONTENT_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".mjs": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
    ".json": "application/json",
    ".png": "image/png",
    ".woff2": "font/woff2",
    ".txt": "text/plain; charset=utf-8",
}
SCANNED = (".html", ".css", ".js", ".svg")
SKIPPED_FOLDERS = {"node_modules", "test", "tests", "dist"}
HASHED = {".css", ".js", ".mjs"}
REWRITTEN = {".html", ".css", ".js", ".mjs"}
REFERENCE = re.compile(r"""(?P<open>["'(])(?P<target>[A-Za-z0-9@._/-]+)(?P<close>["')])""")
HASH_LENGTH = 10

FALLBACK_PAGE = b"<!doctype html><html lang=en><title>weir</title><p>This build of weir has no page.</html>\n"


class Asset:
    def __init__(self, url, content):
        self.url = url
        self.content = content
        self.suffix = Path(url).suffix
        self.final_url = None


def fail(message):
    sys.exit(f"embed_assets: error: {message}")


def collect(web):
    """Returns {url: Asset} and {module name: url}."""
    assets, modules = {}, {}
    if not web.is_dir():
        return {"/index.html": Asset("/index.html", FALLBACK_PAGE)}, modules
    for file in sorted(web.rglob("*")):
        relative = file.relative_to(web)
        if file.suffix in SCANNED and not SKIPPED_FOLDERS & set(relative.parts[:-1]):
            url = "/" + relative.as_posix()
            assets[url] = Asset(url, file.read_bytes())
    listing = web / "assets.txt"
    for number, line in enumerate(listing.read_text().splitlines() if listing.exists() else [], 1):
        words = line.split("#")[0].split()
        if not words:
            continue
        if len(words) not in (2, 3) or not words[0].startswith("/"):
            fail(f'{listing}:{number}: "{line}" is not "URL-PATH FILE [MODULE-NAME]"')
        file = web / words[1]
        if not file.is_file():
            fail(f"{listing}:{number}: {words[1]} does not exist; run ./dev build, which installs the page's packages")
        assets[words[0]] = Asset(words[0], file.read_bytes())
        if len(words) == 3:
            modules[words[2]] = words[0]
    if "/index.html" not in assets:
        assets["/index.html"] = Asset("/index.html", FALLBACK_PAGE)
    return assets, modules


def finish(asset, assets, modules, path=()):
    """Rewrites the references of `asset` (what it refers to first), then gives it its final name."""
    if asset.final_url is not None:
        return
    if asset.url in path:
        fail(
            "files refer to each other in a circle, so their hashes cannot be known: " + " -> ".join([*path, asset.url])
        )

    def replace(match):
        target = match["target"]
        if target in modules:
            url = modules[target]
        elif target.startswith(("/", "./", "../")) or asset.suffix in (".html", ".css"):
            url = posixpath.normpath(posixpath.join(posixpath.dirname(asset.url), target))
        else:
            return match[0]
        other = assets.get(url)
        if other is None or other is asset:
            return match[0]
        finish(other, assets, modules, (*path, asset.url))
        return match["open"] + other.final_url + match["close"]

    if asset.suffix in REWRITTEN:
        asset.content = REFERENCE.sub(replace, asset.content.decode()).encode()
    asset.digest = hashlib.sha256(asset.content).hexdigest()
    asset.immutable = asset.suffix in HASHED
    if asset.immutable:
        asset.final_url = f"{asset.url[: -len(asset.suffix)]}.{asset.digest[:HASH_LENGTH]}{asset.suffix}"
    else:
        asset.final_url = "/" if asset.url == "/index.html" else asset.url


def c_bytes(name, content):
    """A C array. Numbers, not a string literal: ISO C promises only 4,095 characters of those."""
    lines = [f"static const unsigned char {name}[] = {{"]
    for start in range(0, len(content), 32):
        lines.append("    " + ",".join(str(byte) for byte in content[start : start + 32]) + ",")
    lines.append("};")
    return "\n".join(lines)


def c_file(assets):
    parts = [
        "/* Written by tools/embed_assets.py; changes here are lost. */",
        '#include "serve/web_assets.h"',
        "#include <string.h>",
    ]
    rows = []
    for index, asset in enumerate(sorted(assets, key=lambda item: item.final_url.encode())):
        content_type = CONTENT_TYPES.get(asset.suffix) or fail(
            f"{asset.url}: no content type is known for {asset.suffix}"
        )
        content = asset.content or b"\n"
        packed = gzip.compress(content, 9, mtime=0)
        parts.append(c_bytes(f"bytes_{index}", content))
        smaller = len(packed) < len(content)
        if smaller:
            parts.append(c_bytes(f"gzip_{index}", packed))
        rows.append(
            f'    {{"{asset.final_url}", "{content_type}", bytes_{index}, {len(content)}, '
            f"{f'gzip_{index}, {len(packed)}' if smaller else 'NULL, 0'}, "
            f'"\\"{asset.digest[:32]}\\"", {"true" if asset.immutable else "false"}}},'
        )
    parts += ["const struct web_asset web_assets[] = {", *rows, "};", f"const size_t web_assets_count = {len(rows)};"]
    parts.append(
        """
const struct web_asset *web_asset_find(const char *path, size_t path_size)
{
    for (size_t i = 0; i < web_assets_count; i++)
        if (strlen(web_assets[i].path) == path_size && memcmp(web_assets[i].path, path, path_size) == 0)
            return &web_assets[i];
    return NULL;
}"""
    )
    return "\n".join(parts) + "\n"


def main():
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    web, output = Path(sys.argv[1]), Path(sys.argv[2])
    assets, modules = collect(web)
    for url in sorted(assets):
        finish(assets[url], assets, modules)
    output.parent.mkdir(parents=True, exist_ok=True)
    output.write_text(c_file(assets.values()))


if __name__ == "__main__":
    main()
