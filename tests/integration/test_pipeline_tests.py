"""`weir test`: what it accepts, what it notices, and that the examples of the docs are such tests and hold."""

import json
import random
import re

import pytest
import yaml
from oracle import weir

FILES = sorted(p for folder in ("docs", "examples") for p in (weir.ROOT / folder).rglob("*.test.yaml"))
PAGES = [weir.ROOT / "README.md", *sorted((weir.ROOT / "docs").glob("*.md"))]

CONFIG = """
config:
  sources:
    events: { http: { partitions: 2 }, time: ts, max_out_of_orderness: 2s }
    other: { http: {}, time: ts }
    failing: { http: {}, time: ts, on_bad: fail }
  pipelines:
    counts: { from: events, key: [k], window: { tumbling: 10s }, aggregates: { n: count(), total: sum(x) } }
    both: { from: [events, other], window: { tumbling: 10s }, aggregates: { n: count() } }
    strict: { from: failing, window: { tumbling: 10s }, aggregates: { n: count() } }
    out: { from: events, select: { v: v }, to: [nowhere] }
  sinks: { nowhere: { blackhole: {} } }
"""


@pytest.fixture
def run_test(tmp_path):
    """Runs one test file made of CONFIG and the text; returns the process."""

    def run(text, *arguments, config=CONFIG):
        path = tmp_path / "a.test.yaml"
        path.write_text(config + text)
        return weir.run("test", "a.test.yaml", *arguments, cwd=tmp_path)

    return run


def failures(completed):
    """The failures of the only test of a run with --format json."""
    assert completed.returncode in (0, 1), completed.stderr
    [test] = json.loads(completed.stdout)["tests"]
    assert test["ok"] == (completed.returncode == 0) == (not test["failures"])
    return test["failures"]


# --- the docs ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(weir.ROOT)))
def test_example_of_the_docs_holds(path):
    completed = weir.run("test", path, cwd=weir.ROOT)
    assert completed.returncode == 0, completed.stdout + completed.stderr


def pipelines_of_tests():
    """Every pipeline that some example's test runs."""
    for path in FILES:
        config = yaml.safe_load(path.read_text())["config"]
        if isinstance(config, str):
            config = yaml.safe_load((path.parent / config).read_text())
        yield from config["pipelines"].values()


def pipelines_of_pages():
    for page in PAGES:
        for block in re.findall(r"```yaml\n(.*?)```", page.read_text(), re.DOTALL):
            parsed = yaml.safe_load(block)
            for name, pipeline in parsed.get("pipelines", {}).items():
                yield pytest.param(pipeline, id=f"{page.name}-{name}")


@pytest.mark.parametrize("pipeline", list(pipelines_of_pages()))
def test_pipeline_that_a_page_shows_is_run_by_an_example(pipeline):
    assert pipeline in list(pipelines_of_tests()), "write a test for it in docs/examples"


def test_examples_are_checked_against_a_wrong_expectation():
    """The runner of the examples would notice: one of them, with one number changed, fails."""
    path = weir.ROOT / "docs" / "examples" / "windows.test.yaml"
    text = path.read_text()
    assert text.count("revenue: 12.5") == 1
    completed = weir.run("test", "/dev/stdin", stdin=text.replace("revenue: 12.5", "revenue: 12.6"))
    assert completed.returncode == 1
    assert "expected 12.6, got 12.5" in completed.stdout


# --- what it notices --------------------------------------------------------------------------------------------------

EVENTS = """
pipeline: counts
events: [{ ts: 1, k: a, x: 0.1 }, { ts: 2, k: a, x: 0.2 }, { ts: 3, k: b }]
"""


def test_what_is_as_expected_passes_in_any_order(run_test):
    completed = run_test(EVENTS + "expect: [{ key: { k: b } }, { key: { k: a }, values: { n: 2, total: 0.3 } }]\n")
    assert completed.returncode == 0, completed.stdout + completed.stderr
    assert completed.stdout == "ok      a.test.yaml: a.test.yaml\n1 passed, 0 failed\n"


def test_a_value_that_differs_is_told_with_its_place(run_test):
    text = EVENTS + "expect:\n  - { key: { k: b } }\n  - { key: { k: a }, values: { n: 3, total: 0.3 } }\n"
    completed = run_test(text)
    line = (CONFIG + text).splitlines().index("  - { key: { k: a }, values: { n: 3, total: 0.3 } }") + 1
    assert completed.returncode == 1
    assert f"a.test.yaml:{line}:5: expected, but did not come" in completed.stdout
    assert re.search(r"> values\.n +expected 3, got 2\n", completed.stdout)
    [missing, unexpected] = failures(run_test(text, "--format", "json"))
    assert missing["line"] == line
    assert missing["differences"] == [{"path": "values.n", "expected": 3, "actual": 2, "line": line}]
    assert [r["key"] for r in unexpected["records"]] == [{"k": "a"}]


def test_a_record_too_many_fails_unless_partial(run_test):
    text = EVENTS + "expect: [{ key: { k: b } }]\n"
    [failure] = failures(run_test(text, "--format", "json"))
    assert failure["kind"] == "unexpected" and failure["count"] == 1
    assert run_test(text + "partial: true\n").returncode == 0


def test_no_record_is_expected_twice(run_test):
    [failure] = failures(
        run_test(EVENTS + "expect: [{ key: { k: a } }, { key: { k: a } }, { key: { k: b } }]\n", "--format", "json")
    )
    assert failure["kind"] == "missing"


def test_a_loose_expectation_leaves_the_record_to_a_strict_one(run_test):
    """The first fits both records, the second only one: both find theirs, in either order."""
    loose, strict = "{ emit: final }", "{ key: { k: a } }"
    for expected in (f"[{loose}, {strict}]", f"[{strict}, {loose}]"):
        assert run_test(EVENTS + f"expect: {expected}\n").returncode == 0


@pytest.mark.parametrize(
    "expected",
    [
        "{ key: { k: a }, values: { total: 0.30000001 } }",
        "{ key: { k: a }, window_start: 1 }",
        "{ key: { k: a }, window_end: 10001 }",
        '{ key: { k: a }, values: { n: "2" } }',
        "{ key: { k: a }, values: { n: null } }",
        "{ key: { k: a }, values: { other: 1 } }",
        "{ key: { k: a }, values: 2 }",
        "{ key: { k: a }, values: [2] }",
        "{ key: { k: a }, window_end: 1970-01-01T00:00:11Z }",
    ],
)
def test_near_is_not_equal(run_test, expected):
    assert run_test(EVENTS + f"expect: [{expected}, {{ key: {{ k: b }} }}]\n").returncode == 1


def test_window_times_of_today_are_compared_to_the_millisecond(run_test):
    """A relative tolerance of 1e-9 would be half an hour here."""
    text = "pipeline: counts\nevents: [{ ts: 1700000000 }]\nexpect: [{ window_start: %d }]\n"
    assert run_test(text % 1700000000000).returncode == 0
    assert run_test(text % 1700000000001).returncode == 1


def test_events_without_a_window_are_records_as_they_are(run_test):
    text = 'pipeline: out\nevents: [{ ts: 1, v: [1, { a: "x" }] }]\nexpect: [{ v: %s }]\n'
    assert run_test(text % "[1, { a: x }]").returncode == 0
    assert run_test(text % "[1, { a: y }]").returncode == 1
    assert run_test(text % "[1]").returncode == 1


def test_counters_and_dead_letters_are_compared(run_test):
    text = """
pipeline: counts
events: [{ ts: 1 }, "broken", { at_raw: "[]", at_partition: 1 }]
partial: true
expect_dead_letters: [{ reason: not_json, offset: 1 }, { reason: %s, partition: 1, offset: 0, raw: "[]" }]
expect_counters: { events: { counters: { in: 3, bad: %d } } }
"""
    assert run_test(text % ("not_object", 2)).returncode == 0
    [letters, counters] = failures(run_test(text % ("not_json", 3), "--format", "json"))
    assert letters["differences"][0]["path"] == "reason"
    assert counters["differences"] == [
        {"path": "events.counters.bad", "expected": 3, "actual": 2, "line": counters["line"]}
    ]


def test_a_source_that_fails_on_bad_events_stops_the_test_at_the_event(run_test):
    [failure] = failures(run_test('pipeline: strict\nevents: [{ ts: 1 }, "x"]\nexpect: []\n', "--format", "json"))
    assert failure["kind"] == "stopped"
    assert "on_bad: fail" in failure["message"]


def test_steps_see_what_came_since_the_step_before(run_test):
    text = """
pipeline: counts
keep_open: true
steps:
  - { events: [{ ts: 1, k: a }, { ts: 12, k: a }], expect: [{ values: { n: 1 } }] }
  - { events: [{ ts: 13, k: a }], expect: %s }
  - { events: [{ ts: 22, k: a }], expect: [{ values: { n: 2 } }] }
expect: [{ window_start: 0 }, { window_start: 10000 }]
"""
    assert run_test(text % "[]").returncode == 0
    assert run_test(text % "[{ values: { n: 1 } }]").returncode == 1


def test_sources_of_a_pipeline_are_named(run_test):
    text = "pipeline: both\nevents: [{ ts: 1, at_source: events }, { ts: 2, at_source: other }]\nexpect: [{ values: { n: 2 } }]\n"
    assert run_test(text).returncode == 0
    assert run_test("source: other\n" + text.replace(", at_source: other", "")).returncode == 0
    completed = run_test(text.replace(", at_source: other", ""))
    assert completed.returncode == 78
    assert "of which source is this event?" in completed.stderr


def test_random_events_give_what_replay_gives(run_test, tmp_path, seed):
    """Another way through the same engine: files, rounds and threads."""
    rng = random.Random(seed)
    parts = [
        [{"ts": rng.randint(0, 90), "k": rng.choice("abc"), "x": rng.choice([1, 2.5, None, "t"])} for _ in range(60)]
        for _ in range(2)
    ]
    for i, part in enumerate(parts):
        (tmp_path / f"p{i}.ndjson").write_text("".join(json.dumps(e) + "\n" for e in part))
    (tmp_path / "weir.yaml").write_text(yaml.safe_dump(yaml.safe_load(CONFIG)["config"]))
    replayed = weir.run(
        "replay", "weir.yaml", "--pipeline", "counts", "--input", "events=p0.ndjson,p1.ndjson", cwd=tmp_path
    )
    records = [json.loads(line) for line in replayed.stdout.splitlines()]
    assert records
    for record in records:
        del record["receipt"]["late_dropped"]  # counts those that came while the window was there
    events = [{**event, "at_partition": i} for pair in zip(*parts, strict=True) for i, event in enumerate(pair)]
    completed = run_test(f"\npipeline: counts\nevents: {json.dumps(events)}\nexpect: {json.dumps(records)}\n")
    assert completed.returncode == 0, completed.stdout + completed.stderr


# --- files that are wrong ---------------------------------------------------------------------------------------------

WRONG = {
    "unknown_key": ("pipelin: counts\nexpect: []\n", "unknown key `pipelin`; did you mean `pipeline`?"),
    "unknown_pipeline": ("pipeline: cuonts\nexpect: []\n", "unknown pipeline `cuonts`; did you mean `counts`?"),
    "unknown_source": ("source: evens\nexpect: []\n", "unknown source `evens`; did you mean `events`?"),
    "unknown_key_of_event": (
        "pipeline: counts\nevents: [{ ts: 1, at_partitoin: 1 }]\nexpect: []\n",
        "did you mean `at_partition`?",
    ),
    "partition_out_of_range": (
        "pipeline: counts\nevents: [{ at_partition: 1024 }]\nexpect: []\n",
        "expected a whole number from 0 to 1023",
    ),
    "duration_without_unit": ("pipeline: counts\nadvance_time: 3\nexpect: []\n", "has no unit"),
    "steps_and_events": ("pipeline: counts\nevents: []\nsteps: []\nexpect: []\n", "not both"),
    "nothing_expected": ("pipeline: counts\nevents: []\n", "a test that expects nothing cannot fail"),
    "record_that_is_no_mapping": ("pipeline: counts\nexpect: [3]\n", "a record is a mapping"),
    "no_time": ("pipeline: counts\nnow: soon\nexpect: []\n", "is no time"),
}


@pytest.mark.parametrize("name", WRONG)
def test_wrong_file_is_told_with_its_place(run_test, name):
    text, message = WRONG[name]
    completed = run_test(text)
    assert completed.returncode == 78
    assert re.search(r"^a\.test\.yaml:\d+:\d+: error: ", completed.stderr, re.MULTILINE)
    assert message in completed.stderr


def test_wrong_config_within_a_test_is_told_at_its_place(run_test):
    config = "config:\n  sources: { events: { http: {} } }\n  pipelines:\n    p: { from: evens }\n"
    completed = run_test("expect: []\n", config=config)
    assert completed.returncode == 78
    assert "a.test.yaml:4:16: error: " in completed.stderr


def test_wrong_expression_of_a_config_file_is_told_in_that_file(tmp_path, run_test):
    (tmp_path / "weir.yaml").write_text(
        "sources: { e: { http: {}, time: ts } }\n"
        "pipelines:\n  p: { from: e, window: { tumbling: 10s }, aggregates: { n: sum(x +) } }\n"
    )
    completed = run_test("events: []\nexpect: []\n", config="config: weir.yaml\n")
    assert completed.returncode == 78
    assert "weir.yaml:3:" in completed.stderr


def test_missing_file_is_told(tmp_path):
    completed = weir.run("test", tmp_path / "none.yaml")
    assert completed.returncode == 78
    assert "cannot be read: No such file or directory" in completed.stderr
