"""The rules of the source tree, each a function from the project's root to a list of findings (empty = kept).

tests/structure runs them on the project, and on small trees that break each rule.
"""

import re
import subprocess
from collections import defaultdict
from pathlib import Path

FILE_LINES_MAX = 600
FUNCTION_LINES_MAX = 80
C_FLAGS = ["-std=c17", "-D_GNU_SOURCE", "-Wall", "-Wextra", "-Wpedantic", "-Wundef", "-Werror"]
INCLUDE = re.compile(r'^\s*#\s*include\s+"([^"]+)"', re.MULTILINE)
# Split, so that this file does not match itself.
UNFINISHED = re.compile(r"\b(" + "|".join(["TO" + "DO", "FIX" + "ME", "XX" + "X", "HA" + "CK"]) + r")\b")
MACHINE_PATH = re.compile(r"(?<![\w.])/(?:" + "|".join(["wo" + "rk", "ro" + "ot", "ho" + "me"]) + r")/[a-z]")
LIMIT_WORD = r"[A-Z][A-Z0-9]*(?:_[A-Z0-9]+)*_(?:MAX(?:_[A-Z0-9]+)*|LIMIT)"
LIMIT_NAME = re.compile(rf"\b{LIMIT_WORD}\b")
LIMIT_DEFINED = re.compile(
    rf"^\s*(?:#\s*define\s+|enum\s*\{{\s*|static\s+const\s+\w+\s+)?({LIMIT_WORD})\s*(?:=|\s\(?[0-9])|[{{,]\s*({LIMIT_WORD})\s*=",
    re.MULTILINE,
)
TEXT_SUFFIXES = {".c", ".h", ".cc", ".py", ".js", ".css", ".html", ".md", ".yaml", ".cmake", ".sh", ".txt", ""}
SKIPPED_FOLDERS = {"build", "node_modules", "__pycache__", "corpus", "weir-data"}
SKIPPED_FOLDERS |= {".git", ".venv", ".hypothesis", ".pytest_cache", ".ruff_cache"}


def read(path):
    return path.read_text(encoding="utf-8", errors="replace")


def sources(root, *folders, suffixes=(".c", ".h", ".cc")):
    """Source files below the given folders (default src), sorted."""
    found = []
    for folder in folders or ("src",):
        for path in sorted((root / folder).rglob("*")):
            if path.suffix in suffixes and not SKIPPED_FOLDERS & set(path.relative_to(root).parts):
                found.append(path)
    return found


def project_files(root):
    """Text files that belong to the project."""
    for path in sorted(root.rglob("*")):
        if SKIPPED_FOLDERS & set(path.relative_to(root).parts) or not path.is_file():
            continue
        if path.suffix in TEXT_SUFFIXES:
            yield path


def layers(root):
    """{folder: rank}; folders of one rank must not see each other."""
    ranks = {}
    lines = [line.split("#")[0].split() for line in read(root / "src/LAYERS").splitlines()]
    for rank, folders in enumerate(line for line in lines if line):
        for folder in folders:
            ranks[folder] = rank
    return ranks


def folders_unknown(root):
    ranks = layers(root)
    return [
        f"src/{path.name} is not named in src/LAYERS"
        for path in sorted((root / "src").iterdir())
        if path.is_dir() and any(path.iterdir()) and path.name not in ranks
    ]


def includes_against_layers(root):
    ranks = layers(root)
    findings = []
    for path in sources(root):
        own = path.relative_to(root / "src").parts[0]
        for target in INCLUDE.findall(read(path)):
            where = f"{path.relative_to(root)} includes {target}"
            folder = target.split("/")[0]
            if "/" not in target or folder not in ranks:
                findings.append(f'{where}: write it as "folder/file.h", from src')
            elif folder == own:
                continue
            elif own in ranks and ranks[folder] == ranks[own]:
                findings.append(f"{where}: {own} and {folder} do not see each other")
            elif own in ranks and ranks[folder] > ranks[own]:
                findings.append(f"{where}: {folder} comes after {own} in src/LAYERS")
    return findings


def internal_headers_seen_outside(root):
    return [
        f"{path.relative_to(root)} includes {target}, which only src/{target.split('/')[0]} may"
        for path in sources(root)
        for target in INCLUDE.findall(read(path))
        if target.endswith("_internal.h") and target.split("/")[0] != path.relative_to(root / "src").parts[0]
    ]


def include_circles(root):
    graph = {
        path.relative_to(root / "src").as_posix(): INCLUDE.findall(read(path))
        for path in sources(root, suffixes=(".h",))
    }
    findings, finished = [], set()

    def visit(header, path):
        if header in path:
            findings.append(" -> ".join([*path[path.index(header) :], header]))
        elif header not in finished:
            for target in graph.get(header, []):
                visit(target, [*path, header])
            finished.add(header)

    for header in sorted(graph):
        visit(header, [])
    return findings


def names_used_twice(root):
    """Names are unique in the tree; a header and its source share theirs, in one folder."""
    places = defaultdict(set)
    for path in sources(root):
        places[path.stem].add(path.parent.relative_to(root).as_posix())
    return [f"{stem} is in {' and '.join(sorted(where))}" for stem, where in sorted(places.items()) if len(where) > 1]


def headers_that_need_others(root, compiler="gcc"):
    """Each header compiles alone. It is included, not the main file, which would warn about #pragma once."""
    command = [compiler, *C_FLAGS, "-fsyntax-only", "-I", str(root / "src"), "-x", "c", "-"]
    command += ["-isystem", str(root / "build/librdkafka/plain/include")]
    findings = []
    for header in sources(root, suffixes=(".h",)):
        text = f'#include "{header.relative_to(root / "src").as_posix()}"\n'
        result = subprocess.run(command, input=text, capture_output=True, text=True)
        if result.returncode != 0:
            first = next((line for line in result.stderr.splitlines() if "error" in line), result.stderr)
            findings.append(f"{header.relative_to(root)} does not compile alone: {first}")
    return findings


def headers_without_guard(root):
    return [
        f"{path.relative_to(root)} has no #pragma once"
        for path in sources(root, suffixes=(".h",))
        if "#pragma once" not in read(path)
    ]


def sources_without_opening(root):
    return [
        f"{path.relative_to(root)} does not open with a comment that says what it is and why this way"
        for path in sources(root, suffixes=(".c", ".cc"))
        if not read(path).startswith(("/*", "//"))
    ]


def files_too_long(root):
    return [
        f"{path.relative_to(root)} has {count} lines, more than {FILE_LINES_MAX}"
        for path in sources(root, "src", "tests", "fuzz", "bench", "tools", suffixes=(".c", ".h", ".cc", ".py"))
        if (count := read(path).count("\n")) > FILE_LINES_MAX
    ]


def functions_too_long(root):
    """A function's body stands between a "{" and a "}" alone in the first column."""
    findings = []
    for path in sources(root, "src", "fuzz", suffixes=(".c", ".cc")):
        start = None
        for number, line in enumerate(read(path).splitlines(), 1):
            if line == "{":
                start = number
            elif line == "}" and start is not None:
                if number - start - 1 > FUNCTION_LINES_MAX:
                    findings.append(f"{path.relative_to(root)}:{start}: function of {number - start - 1} lines")
                start = None
    return findings


def unfinished_work(root):
    return [
        f"{path.relative_to(root)}:{number}: {match[0]}"
        for path in project_files(root)
        for number, line in enumerate(read(path).splitlines(), 1)
        if (match := UNFINISHED.search(line))
    ]


def machine_paths(root):
    """Nothing in the project knows where on which machine it was written."""
    return [
        f"{path.relative_to(root)}:{number}: {line.strip()[:80]}"
        for path in project_files(root)
        for number, line in enumerate(read(path).splitlines(), 1)
        if MACHINE_PATH.search(line)
    ]


def limits_documented(root):
    return set(LIMIT_NAME.findall(read(root / "docs/LIMITS.md")))


def limits_defined(root):
    return {
        name
        for path in sources(root, suffixes=(".h",))
        for names in LIMIT_DEFINED.findall(read(path))
        for name in names
        if name
    }


def limits_named_but_missing(root):
    defined = "\n".join(read(path) for path in sources(root))
    return [
        f"docs/LIMITS.md names {name}, which src does not define"
        for name in sorted(limits_documented(root))
        if not re.search(rf"\b{name}\b", defined)
    ]


def limits_undocumented(root):
    return [
        f"{name} is a limit in a header of src, and has no row in docs/LIMITS.md"
        for name in sorted(limits_defined(root) - limits_documented(root))
    ]


def links_broken(root):
    """Relative links between the documents lead to files that exist."""
    findings = []
    for path in project_files(root):
        if path.suffix != ".md":
            continue
        for target in re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", read(path)):
            if "://" not in target and not target.startswith("mailto:") and not (path.parent / target).exists():
                findings.append(f"{path.relative_to(root)} links to {target}, which does not exist")
    return findings


def decisions_unlisted(root):
    folder = root / "docs/decisions"
    index = read(folder / "README.md")
    return [
        f"docs/decisions/README.md does not list {path.name}"
        for path in sorted(folder.glob("*.md"))
        if path.name != "README.md" and f"({path.name})" not in index
    ]


def lock_files_with_hosts(root):
    """Lock files pin by hash; where the packages come from is the machine's setting."""
    return [
        f"{path.relative_to(root)} names a host; write it with npm's --omit-lockfile-registry-resolved"
        for path in sorted(root.rglob("package-lock.json"))
        if not SKIPPED_FOLDERS & set(path.relative_to(root).parts) and '"resolved": "http' in read(path)
    ]


RULES = [
    folders_unknown,
    includes_against_layers,
    internal_headers_seen_outside,
    include_circles,
    names_used_twice,
    headers_that_need_others,
    headers_without_guard,
    sources_without_opening,
    files_too_long,
    functions_too_long,
    unfinished_work,
    machine_paths,
    limits_named_but_missing,
    limits_undocumented,
    links_broken,
    decisions_unlisted,
    lock_files_with_hosts,
]


def main():
    root = Path(__file__).resolve().parent.parent
    findings = [(rule.__name__, finding) for rule in RULES for finding in rule(root)]
    for rule, finding in findings:
        print(f"{rule}: {finding}")
    raise SystemExit(1 if findings else 0)


if __name__ == "__main__":
    main()
