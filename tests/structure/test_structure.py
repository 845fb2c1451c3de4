"""The source tree keeps its rules, and each rule notices a tree that breaks it."""

import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tools"))
import structure  # noqa: E402

C_FILE = "/* What this file is. */\n"
HEADER = "/* What this header is. */\n#pragma once\n"


@pytest.fixture
def tree(tmp_path):
    """Makes a small project that keeps every rule, with some files written over it."""

    def make(**files):
        content = {
            "src/LAYERS": "base\nflow\nsource window\nserve\n",
            "src/base/slice.h": HEADER + "enum { SLICE_COUNT_MAX = 4 };\n",
            "src/base/slice.c": C_FILE + '#include "base/slice.h"\n',
            "src/window/pane.h": HEADER + '#include "base/slice.h"\n',
            "docs/LIMITS.md": "| slices | `SLICE_COUNT_MAX` = 4 | `src/base/slice.h` | refused |\n",
            "docs/decisions/README.md": "- [one](0001-one.md)\n",
            "docs/decisions/0001-one.md": "# one\n",
        }
        content.update(files.pop("files", {}))
        for name, text in content.items():
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        return tmp_path

    return make


@pytest.mark.parametrize("rule", structure.RULES, ids=lambda rule: rule.__name__)
def test_project_keeps_rule(rule):
    assert rule(ROOT) == []


@pytest.mark.parametrize("rule", structure.RULES, ids=lambda rule: rule.__name__)
def test_small_tree_keeps_rule(rule, tree):
    assert rule(tree()) == []


LONG_FUNCTION = C_FILE + "int f(void)\n{\n" + "    ;\n" * 81 + "}\n"
# fmt: off
BREACHES = {
    "folder_that_layers_do_not_name": ("folders_unknown", {"src/extra/x.h": HEADER}),
    "include_of_a_later_folder": ("includes_against_layers", {"src/base/a.h": HEADER + '#include "window/pane.h"\n'}),
    "stage_that_sees_a_stage": ("includes_against_layers", {"src/source/a.c": C_FILE + '#include "window/pane.h"\n'}),
    "include_without_folder": ("includes_against_layers", {"src/base/a.c": C_FILE + '#include "slice.h"\n'}),
    "internal_header_from_outside": (
        "internal_headers_seen_outside", {"src/serve/a.c": C_FILE + '#include "window/window_internal.h"\n'}),
    "headers_in_a_circle": (
        "include_circles", {"src/base/a.h": HEADER + '#include "base/b.h"\n',
                            "src/base/b.h": HEADER + '#include "base/a.h"\n'}),
    "name_used_in_two_folders": ("names_used_twice", {"src/window/slice.c": C_FILE}),
    "header_that_needs_another": ("headers_that_need_others", {"src/base/a.h": HEADER + "size_t f(void);\n"}),
    "header_without_guard": ("headers_without_guard", {"src/base/a.h": "/* A. */\n"}),
    "source_without_opening_comment": ("sources_without_opening", {"src/base/a.c": "int a;\n"}),
    "file_over_the_length": ("files_too_long", {"src/base/a.c": C_FILE + "\n" * 600}),
    "function_over_the_length": ("functions_too_long", {"src/base/a.c": LONG_FUNCTION}),
    "mark_of_unfinished_work": ("unfinished_work", {"src/base/a.c": "/* TO" + "DO */\n"}),
    "path_of_one_machine": ("machine_paths", {"docs/A.md": "see /wo" + "rk/notes\n"}),
    "limit_in_a_list_without_row": ("limits_undocumented", {"src/base/a.h": HEADER + "enum { A = 1, B_MAX_KEYS = 2 };\n"}),
    "limit_that_no_code_defines": ("limits_named_but_missing", {"docs/LIMITS.md": "`SLICE_COUNT_MAX` `LOST_MAX`\n"}),
    "limit_by_enum_without_row": ("limits_undocumented", {"src/base/a.h": HEADER + "enum { A_MAX = 1 };\n"}),
    "limit_by_define_without_row": ("limits_undocumented", {"src/base/a.h": HEADER + "#define A_MAX 1\n"}),
    "link_to_nothing": ("links_broken", {"docs/A.md": "[there](B.md)\n"}),
    "decision_without_entry": ("decisions_unlisted", {"docs/decisions/0002-two.md": "# two\n"}),
    "lock_file_with_a_host": ("lock_files_with_hosts", {"web/package-lock.json": '{"resolved": "https://a/b"}\n'}),
}
# fmt: on


@pytest.mark.parametrize("name", BREACHES)
def test_rule_notices(name, tree):
    rule, files = BREACHES[name]
    assert getattr(structure, rule)(tree(files=files)) != []
