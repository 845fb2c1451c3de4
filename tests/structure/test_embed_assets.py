"""The build step that embeds the page: one script, one style sheet, hashed names, errors that name the file."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGE_SIZE_MAX = 80 * 1024


@pytest.fixture
def embed(tmp_path):
    """Writes a web folder (or takes one), embeds it, and returns (exit code, generated C, message)."""

    def run(files, web=None):
        web = web or tmp_path / "web"
        for name, text in files.items():
            path = web / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        output = tmp_path / "web_assets.c"
        command = [sys.executable, ROOT / "tools/embed_assets.py", web, output]
        result = subprocess.run(command, capture_output=True, text=True)
        return result.returncode, output.read_text() if output.exists() else "", result.stderr

    return run


def rows(text):
    """{path: whole row} of the generated table."""
    table = text[text.index("web_assets[] = {") :]
    return {line.split('"')[1]: line for line in table.splitlines() if line.startswith('    {"')}


def content(text, path):
    index = rows(text)[path].split("bytes_")[1].split(",")[0]
    body = text.split(f"bytes_{index}[] = {{")[1].split("}")[0]
    return bytes(int(number) for number in body.split(",") if number.strip()).decode()


def named(text, suffix):
    return [path for path in rows(text) if path.endswith(suffix)]


PAGE = """<!doctype html><head>
<link rel="stylesheet" href="/lib/grid.css">
<link rel="stylesheet" href="/style.css">
<link rel="modulepreload" href="/part.js">
<script src="/lib/plot.js" defer></script>
<script type="module" src="/app.js"></script>
</head><body></body>
"""
FILES = {
    "index.html": PAGE,
    "style.css": "a { color: red }",
    "app.js": 'import { part } from "./part.js"; document.title = part + plot;',
    "part.js": 'export const part = "part";',
    "assets.txt": "/lib/plot.js node_modules/plot/p.js  # classic\n/lib/grid.css node_modules/plot/g.css\n",
    "node_modules/plot/p.js": 'var plot = "plotted";\n',
    "node_modules/plot/g.css": "b { color: blue }",
    "icon.svg": "<svg/>",
}


def test_page_has_one_script_and_one_style_sheet(embed):
    code, text, message = embed(FILES)
    assert code == 0, message
    [script], [sheet] = named(text, ".js"), named(text, ".css")
    assert content(text, "/") == (
        f'<!doctype html><head>\n<link rel="stylesheet" href="{sheet}">\n<script src="{script}" defer></script>\n'
        "</head><body></body>\n"
    )
    assert sorted(rows(text)) == sorted(["/", script, sheet, "/icon.svg"])


def test_classic_scripts_keep_their_globals_and_modules_follow(embed):
    _, text, _ = embed(FILES)
    script = content(text, named(text, ".js")[0])
    assert script.startswith('var plot = "plotted";\n')
    assert '"part"' in script and "import" not in script


def test_style_sheets_keep_their_order(embed):
    _, text, _ = embed(FILES)
    sheet = content(text, named(text, ".css")[0])
    assert sheet.index("b{") < sheet.index("a{")


def test_only_hashed_names_may_be_kept_for_ever(embed):
    _, text, _ = embed(FILES)
    assert {path: row.endswith("true},") for path, row in rows(text).items()} == {
        "/": False,
        "/icon.svg": False,
        named(text, ".js")[0]: True,
        named(text, ".css")[0]: True,
    }


def test_name_changes_with_what_is_imported(embed):
    first = named(embed(FILES)[1], ".js")
    second = named(embed(FILES | {"part.js": 'export const part = "other";'})[1], ".js")
    assert first != second


def test_same_files_give_same_bytes(embed):
    assert embed(FILES)[1] == embed(FILES)[1]


def test_listed_file_that_is_missing_is_named(embed):
    code, _, message = embed(FILES | {"assets.txt": "/a.js node_modules/a.js\n"})
    assert code != 0 and "assets.txt:1: node_modules/a.js does not exist" in message


def test_file_that_the_page_needs_is_named(embed):
    code, _, message = embed(FILES | {"index.html": PAGE.replace("/style.css", "/styles.css")})
    assert code != 0 and "index.html refers to /styles.css" in message


def test_error_in_a_script_is_shown(embed):
    code, _, message = embed(FILES | {"part.js": "export const = 1;"})
    assert code != 0 and "part.js" in message


def test_generated_file_compiles_without_a_page(embed, tmp_path):
    code, _, _ = embed({}, tmp_path)
    assert code == 0
    command = ["gcc", "-std=c17", "-Wall", "-Wextra", "-Werror", "-fsyntax-only", "-I", ROOT / "src"]
    assert subprocess.run([*command, tmp_path / "web_assets.c"]).returncode == 0


def test_real_page_is_small(embed):
    code, text, message = embed({}, ROOT / "web")
    assert code == 0, message
    sizes = [row.split("gzip_")[1].split(",")[1] for row in rows(text).values() if "gzip_" in row]
    assert len(named(text, ".js")) == 1 and sum(map(int, sizes)) <= PAGE_SIZE_MAX
