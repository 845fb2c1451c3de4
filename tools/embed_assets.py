#!/usr/bin/env python3
"""Turns the page into one C file with a table of `struct web_asset`.

    embed_assets.py WEB_FOLDER OUTPUT.c

The page stays plain modules for whoever works on it; what is embedded is index.html, one script and one style sheet
(bundled by esbuild from what index.html refers to, in its order), and the .svg files. WEB_FOLDER/assets.txt names files
of npm packages that index.html refers to, one a line: `URL-PATH FILE [MODULE-NAME]`, FILE relative to WEB_FOLDER.

The script and the style sheet have their content's hash in their names, so browsers may keep them for ever and still
never see a stale one. Everything is compressed here, once.
"""

import gzip
import hashlib
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

TOOLS = Path(__file__).resolve().parent
CONTENT_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}
SCRIPT = re.compile(r'<script(?P<attributes>[^>]*) src="(?P<url>[^"]+)"[^>]*></script>\n?')
STYLE = re.compile(r'<link rel="stylesheet" href="(?P<url>[^"]+)">\n?')
PRELOAD = re.compile(r'<link rel="modulepreload"[^>]*>\n?')
HASH_LENGTH = 10
FALLBACK_PAGE = "<!doctype html><html lang=en><title>weir</title><p>This build of weir has no page.</html>\n"


@dataclass
class Asset:
    path: str
    content: bytes
    immutable: bool = False

    @property
    def digest(self):
        return hashlib.sha256(self.content).hexdigest()


def fail(message):
    sys.exit(f"embed_assets: error: {message}")


def listed_files(web):
    """{URL path: file} of assets.txt."""
    listing, files = web / "assets.txt", {}
    for number, line in enumerate(listing.read_text().splitlines() if listing.exists() else [], 1):
        words = line.split("#")[0].split()
        if not words:
            continue
        if len(words) not in (2, 3) or not words[0].startswith("/"):
            fail(f'{listing}:{number}: "{line}" is not "URL-PATH FILE [MODULE-NAME]"')
        files[words[0]] = web / words[1]
        if not files[words[0]].is_file():
            fail(f"{listing}:{number}: {words[1]} does not exist; ./dev build installs the page's packages")
    return files


def esbuild(*arguments, text=None):
    """Runs esbuild's program itself; it needs no Node.js."""
    found = sorted(TOOLS.glob("node_modules/@esbuild/*/bin/esbuild"))
    if not found:
        fail("esbuild is not installed; ./dev build installs it (npm ci --ignore-scripts in tools/)")
    command = [found[0], *arguments, "--minify", "--target=es2020", "--legal-comments=none", "--log-level=warning"]
    result = subprocess.run(command, input=text, capture_output=True, encoding="utf-8")
    if result.returncode != 0 or result.stderr:
        fail(f"esbuild: {result.stderr}")
    return result.stdout


def merge_scripts(references, file_of):
    """One classic script: a classic one keeps its globals, a module becomes a function with all that it imports."""
    parts = []
    for reference in references:
        if 'type="module"' in reference["attributes"]:
            parts.append(esbuild(file_of(reference["url"]), "--bundle", "--format=iife"))
        else:
            parts.append(file_of(reference["url"]).read_text().rstrip() + "\n")
    return "".join(parts)


def hashed(stem, suffix, text):
    asset = Asset("", text.encode(), immutable=True)
    asset.path = f"/{stem}.{asset.digest[:HASH_LENGTH]}{suffix}"
    return asset


def build_page(web):
    """index.html with one script and one style sheet, and these."""
    page, listed = (web / "index.html").read_text(), listed_files(web)

    def file_of(url):
        file = listed.get(url) or web / url.lstrip("/")
        return file if file.is_file() else fail(f"index.html refers to {url}, which does not exist")

    scripts, styles = list(SCRIPT.finditer(page)), list(STYLE.finditer(page))
    assets, replacement = [], ""
    if styles:
        sheet = esbuild("--loader=css", text="".join(file_of(style["url"]).read_text() + "\n" for style in styles))
        assets.append(hashed("style", ".css", sheet))
        replacement += f'<link rel="stylesheet" href="{assets[-1].path}">\n'
    if scripts:
        assets.append(hashed("app", ".js", merge_scripts(scripts, file_of)))
        replacement += f'<script src="{assets[-1].path}" defer></script>\n'
    for pattern in (SCRIPT, STYLE, PRELOAD):
        page = pattern.sub("", page)
    if "</head>" not in page:
        fail("index.html has no </head>, before which the script and the style sheet go")
    return [Asset("/", page.replace("</head>", replacement + "</head>").encode()), *assets]


def collect(web):
    if not (web / "index.html").exists():
        return [Asset("/", FALLBACK_PAGE.encode())]
    pictures = [Asset("/" + file.name, file.read_bytes()) for file in sorted(web.glob("*.svg"))]
    return build_page(web) + pictures


def c_bytes(name, content):
    """A C array. Numbers, not a string literal: ISO C promises only 4,095 characters of those."""
    lines = [f"static const unsigned char {name}[] = {{"]
    for start in range(0, len(content), 32):
        lines.append("    " + ",".join(str(byte) for byte in content[start : start + 32]) + ",")
    return "\n".join([*lines, "};"])


def c_row(index, asset, packed):
    content_type = CONTENT_TYPES["." + asset.path.rsplit(".", 1)[1] if "." in asset.path else ".html"]
    gzip_columns = f"gzip_{index}, {len(packed)}" if packed else "NULL, 0"
    return (
        f'    {{"{asset.path}", "{content_type}", bytes_{index}, {len(asset.content)}, {gzip_columns}, '
        f'"\\"{asset.digest[:32]}\\"", {"true" if asset.immutable else "false"}}},'
    )


FIND = """
const struct web_asset *web_asset_find(const char *path, size_t path_size)
{
    for (size_t i = 0; i < web_assets_count; i++)
        if (strlen(web_assets[i].path) == path_size && memcmp(web_assets[i].path, path, path_size) == 0)
            return &web_assets[i];
    return NULL;
}
"""


def c_file(assets):
    parts = [
        "/* Written by tools/embed_assets.py; changes here are lost. */",
        '#include "serve/web_assets.h"',
        "#include <string.h>",
    ]
    rows = []
    for index, asset in enumerate(sorted(assets, key=lambda item: item.path.encode())):
        packed = gzip.compress(asset.content, 9, mtime=0)
        if len(packed) >= len(asset.content):
            packed = b""
        parts.append(c_bytes(f"bytes_{index}", asset.content))
        if packed:
            parts.append(c_bytes(f"gzip_{index}", packed))
        rows.append(c_row(index, asset, packed))
    parts += ["const struct web_asset web_assets[] = {", *rows, "};", f"const size_t web_assets_count = {len(rows)};"]
    return "\n".join(parts) + "\n" + FIND


def main():
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    web, output = Path(sys.argv[1]), Path(sys.argv[2])
    text = c_file(collect(web))
    output.parent.mkdir(parents=True, exist_ok=True)
    output.write_text(text)


if __name__ == "__main__":
    main()
