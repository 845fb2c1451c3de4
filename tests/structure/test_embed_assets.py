"""The build step that embeds the page: hashed names, references that follow them, errors that name the file."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def embed(tmp_path):
    """Writes a web folder, embeds it, and returns (exit code, generated C, message)."""

    def run(files):
        web = tmp_path / "web"
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
    name = rows(text)[path].split("bytes_")[1].split(",")[0]
    body = text.split(f"bytes_{name}[] = {{")[1].split("}")[0]
    return bytes(int(number) for number in body.replace("\n", "").split(",") if number.strip()).decode()


def hashed(text, stem, suffix):
    return next(path for path in rows(text) if path.startswith(stem + ".") and path.endswith(suffix))


PAGE = '<link rel="stylesheet" href="app.css"><script type="module" src="/app.js"></script>'


def test_scripts_and_styles_get_hashed_names_that_the_page_uses(embed):
    code, text, _ = embed({"index.html": PAGE, "app.css": "a{}", "app.js": "1;"})
    assert code == 0
    assert content(text, "/") == PAGE.replace("app.css", hashed(text, "/app", ".css")).replace(
        "/app.js", hashed(text, "/app", ".js")
    )
    assert rows(text)["/"].endswith("false},")
    assert rows(text)[hashed(text, "/app", ".js")].endswith("true},")


def test_hash_changes_with_what_is_imported(embed):
    files = {"index.html": PAGE, "app.css": "", "app.js": 'import "./part.js";', "part.js": "1;"}
    first = hashed(embed(files)[1], "/app", ".js")
    second = hashed(embed(files | {"part.js": "2;"})[1], "/app", ".js")
    assert first != second


def test_module_names_of_the_list_are_rewritten(embed):
    files = {
        "app.js": 'import { h } from "preact"; const word = "preactive";',
        "assets.txt": "/vendor/preact.js node_modules/preact/p.js preact  # comment\n",
        "node_modules/preact/p.js": "export const h = 1;",
    }
    _, text, _ = embed(files)
    vendor = hashed(text, "/vendor/preact", ".js")
    assert content(text, hashed(text, "/app", ".js")) == f'import {{ h }} from "{vendor}"; const word = "preactive";'


def test_packages_that_are_not_listed_stay_out(embed):
    _, text, _ = embed({"index.html": "x", "node_modules/a/a.js": "1;"})
    assert list(rows(text)) == ["/"]


def test_same_files_give_same_bytes(embed):
    files = {"index.html": PAGE * 50, "app.css": "a{}", "app.js": "1;"}
    assert embed(files)[1] == embed(files)[1]


def test_listed_file_that_is_missing_is_named(embed):
    code, _, message = embed({"assets.txt": "/a.js node_modules/a.js\n"})
    assert code != 0 and "assets.txt:1: node_modules/a.js does not exist" in message


def test_files_in_a_circle_are_named(embed):
    code, _, message = embed({"a.js": 'import "./b.js"', "b.js": 'import "./a.js"'})
    assert code != 0 and "/a.js -> /b.js -> /a.js" in message


def test_generated_file_compiles_without_a_page(embed, tmp_path):
    code, _, _ = embed({})
    assert code == 0
    command = ["gcc", "-std=c17", "-Wall", "-Wextra", "-Werror", "-fsyntax-only", "-I", ROOT / "src"]
    assert subprocess.run([*command, tmp_path / "web_assets.c"]).returncode == 0
