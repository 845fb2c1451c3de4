"""Windows over windows: what one pipeline finds is what the next one counts, also after kill -9."""

import collections
import json
import random

import duckdb
import pytest
from oracle import weir

CHAIN = {
    "small": {
        "from": "s",
        "key": ["k"],
        "window": {"tumbling": "2s"},
        "allowed_lateness": "3s",
        "aggregates": {"n": "count()", "sum": "sum(x)"},
    },
    "large": {
        "from": "small",
        "where": "values.n > 1",
        "key": {"k": "key.k"},
        "window": {"tumbling": "1m"},
        "aggregates": {
            "windows": "count()",
            "n": "sum(values.n)",
            "best": "max(values.sum)",
            "mean": "mean(values.sum)",
            "first": "first(window_start)",
            "last": "last(values.n)",
        },
    },
    "largest": {
        "from": ["large", "small"],
        "window": {"tumbling": "5m"},
        "aggregates": {"records": "count()", "windows": "sum(values.windows)", "n": "sum(values.n)"},
    },
}


def write_events(directory, rng, partitions, count, disorder_s):
    """Files of events that advance by some tens of milliseconds, some of them far too old."""
    files = []
    for p in range(partitions):
        files.append(directory / f"part{p}.ndjson")
        with open(files[-1], "w") as file:
            for i in range(count):
                late = rng.random() < 0.05
                at = 1_700_000_000 + i * 0.05 - rng.random() * (20 if late else disorder_s)
                event = {
                    "ts": round(at, 3),
                    "k": rng.choice("abcd"),
                    "x": rng.choice([1, 2.5, 0.1]),
                }
                file.write(json.dumps(event) + "\n")
    return files


def replay(tmp_path, files, *options, shards=1, batch_size=1024):
    config = weir.write_config(
        tmp_path,
        {"sources": {"s": {"http": {}, "time": "ts", "max_out_of_orderness": "1s"}}, "pipelines": CHAIN},
    )
    env = {"WEIR_ENGINE__SHARDS": str(shards), "WEIR_ENGINE__BATCH_SIZE": str(batch_size)}
    return weir.replay(config, {"s": files}, *options, env=env)


def finals_of(answer, pipeline):
    return [r for r in answer.of(pipeline) if r["emit"] == "final"]


def test_a_chain_counts_the_final_results_of_the_pipeline_above(tmp_path, seed):
    files = write_events(tmp_path, random.Random(seed), 3, 4000, 1.5)
    answer = replay(tmp_path, files, "--revisions")
    rows = [
        (r["key"]["k"], r["window_start"], r["window_end"], r["values"]["n"], r["values"]["sum"])
        for r in finals_of(answer, "small")
    ]
    assert any(r["emit"] == "update" for r in answer.of("small")), "the stream has late events"
    con = duckdb.connect()
    con.execute("create table small(k text, s bigint, e bigint, n bigint, x double)")
    con.executemany("insert into small values (?, ?, ?, ?, ?)", rows)
    wanted = con.execute(
        "select k, (e - 1) // 60000 * 60000 as start, count(*), sum(n)::bigint, max(x), avg(x), min(s), arg_max(n, s)"
        " from small where n > 1 group by all order by start, k"
    ).fetchall()
    large = finals_of(answer, "large")
    assert len(large) == len(answer.of("large")), "nothing revises a window below"
    got = sorted((r["key"]["k"], r["window_start"], *r["values"].values()) for r in large)
    assert len(got) == len(wanted) > 8
    for mine, theirs in zip(got, sorted(wanted), strict=True):
        assert mine[:4] == theirs[:4]
        assert mine[4:6] == pytest.approx(theirs[4:6], rel=1e-9)
        assert mine[6:] == theirs[6:]
    totals = collections.Counter()
    for r in finals_of(answer, "largest"):
        totals.update({"records": r["values"]["records"], "n": r["values"]["n"], "windows": r["values"]["windows"]})
    assert totals["records"] == len(rows) + len(large)
    assert totals["n"] == sum(r[3] for r in rows) + sum(r["values"]["n"] for r in large)
    assert totals["windows"] == sum(r["values"]["windows"] for r in large)


def test_a_chain_gives_the_same_bytes_for_any_shards_and_batch_size(tmp_path, seed):
    files = write_events(tmp_path, random.Random(seed), 4, 9000, 1.5)
    wanted = replay(tmp_path, files, "--revisions").text
    assert '"pipeline":"largest"' in wanted
    for shards, batch_size in [(2, 1024), (3, 7), (4, 8192)]:
        assert replay(tmp_path, files, "--revisions", shards=shards, batch_size=batch_size).text == wanted


def test_one_pipeline_of_a_chain_is_replayed_with_those_above_but_shown_alone(tmp_path, seed):
    files = write_events(tmp_path, random.Random(seed), 2, 2000, 0.5)
    whole = replay(tmp_path, files)
    alone = replay(tmp_path, files, "--pipeline", "large")
    assert alone.records == whole.of("large") != []


# --- a server -----------------------------------------------------------------------------------------------------------

LINES = 60_000
STEP_MS = 10  # 600 s of event time


def file_config(path, **source):
    return {
        "sources": {
            "s": {
                "file": {"path": str(path), "rate": "20000/s", **source},
                "time": "ts",
                "max_out_of_orderness": "1s",
            }
        },
        "pipelines": {
            "small": {
                **CHAIN["small"],
                "aggregates": {"n": "count()", "sum": "sum(i)"},
                "to": ["store", "live", "trail"],
            },
            "large": {
                "from": "small",
                "key": {"k": "key.k"},
                "window": {"tumbling": "1m"},
                "emit": {"every": "100ms"},
                "aggregates": {"windows": "count()", "n": "sum(values.n)", "best": "max(values.sum)"},
                "to": ["store", "live", "trail"],
            },
            "largest": {
                "from": "large",
                "window": {"tumbling": "2m"},
                "aggregates": {"records": "count()", "n": "sum(values.n)", "windows": "sum(values.windows)"},
            },
        },
        "sinks": {"trail": {"file": {"path": "trail.ndjson"}}},
    }


def expected_of(lines):
    """(small, large, largest) by (key, start), the last by start, from the lines alone."""
    small = collections.defaultdict(lambda: [0, 0])
    for i, line in enumerate(lines):
        cell = small[line["k"], line["ts"] // 2000 * 2000]
        cell[0] += 1
        cell[1] += i
    large = collections.defaultdict(lambda: [0, 0, 0])
    for (key, start), (n, total) in small.items():
        cell = large[key, start // 60_000 * 60_000]
        cell[0] += 1
        cell[1] += n
        cell[2] = max(cell[2], total)
    largest = collections.defaultdict(lambda: [0, 0, 0])
    for (_, start), (windows, n, _) in large.items():
        cell = largest[start // 120_000 * 120_000]
        cell[0] += 1
        cell[1] += n
        cell[2] += windows
    return small, large, largest


def wait_for_chain(server, lines):
    small, large, largest = expected_of(lines)

    def finished():
        rows = server.results("largest", limit=1000)
        return rows if sum(r["values"]["n"] for r in rows if r["emit"] == "final") >= len(lines) else None

    rows = weir.eventually(finished, 60, "all lines in the last pipeline")
    assert {r["window_start"]: list(r["values"].values()) for r in rows} == largest
    rows = server.results("large", limit=1000)
    assert {(r["key"]["k"], r["window_start"]): list(r["values"].values()) for r in rows} == large
    assert {r["emit"] for r in rows} == {"final"}
    wanted = {"small": small, "large": large}
    trail = weir.records_of((server.directory / "trail.ndjson").read_text())
    for r in trail:  # some are there twice after a kill, but none may ever have been wrong
        if r["emit"] == "final":
            assert list(r["values"].values()) == wanted[r["pipeline"]][r["key"]["k"], r["window_start"]], r


@pytest.mark.parametrize(
    "split", [{}, {"partitions": 4, "partition_by": "k"}], ids=["one_partition", "four_partitions"]
)
def test_a_chain_is_exact_after_kills_at_random(make_server, seed, tmp_path, split):
    rng = random.Random(seed)
    base = 1_700_000_100_000
    lines = [{"ts": base + i * STEP_MS - rng.randint(0, 900), "k": i % 40, "i": i} for i in range(LINES)]
    path = tmp_path / "events.ndjson"
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    server = make_server(file_config(path, **split))
    for _ in range(6):
        seen = server.source("s")["counters"]["in"]
        weir.eventually(lambda: server.source("s")["counters"]["in"] > seen + rng.randint(1, 5000), 20, "lines")  # noqa: B023
        server.kill()
        server.start(env={"WEIR_ENGINE__SHARDS": str(rng.randint(1, 4))})
    wait_for_chain(server, lines)


def test_what_idle_partitions_held_is_in_a_chain_after_a_kill(make_server):
    """The window above closes while one partition is idle; its events are read again before its watermark has passed."""
    keys = "abcdefgh"  # of both partitions
    source = {"http": {"partitions": 2, "partition_by": "k"}, "time": "ts"}
    source |= {"max_out_of_orderness": "0s", "idle_timeout": "500ms"}
    pipelines = {
        "small": {"from": "s", "key": ["k"], "window": {"tumbling": "2s"}, "aggregates": {"n": "count()"}},
        "large": {"from": "small", "window": {"tumbling": "1h"}, "aggregates": {"n": "sum(values.n)"}},
    }
    server = make_server({"sources": {"s": source}, "pipelines": pipelines})
    base = 1_700_002_800
    server.accept("s", [{"ts": base + 1, "k": k} for k in keys])
    weir.eventually(
        lambda: all(p["offset"] > 0 for p in server.source("s")["partitions"]), 10, "events in both partitions"
    )
    server.accept("s", [{"ts": base + 15, "k": "a"}])
    closed = weir.eventually(
        lambda: len(server.results("small")) == len(keys) + 1 or None, 20, "windows that close idle"
    )
    assert closed
    server.kill()
    server.start()
    server.accept("s", [{"ts": base + 4000, "k": k} for k in keys])
    [row] = weir.eventually(lambda: server.results("large"), 20, "the large window")
    assert row["values"]["n"] == len(keys) + 1


def test_windows_below_close_without_a_new_event(make_server):
    source = {"http": {}, "time": "ts", "max_out_of_orderness": "0s", "idle_timeout": "200ms"}
    pipelines = {
        "small": {"from": "s", "window": {"tumbling": "1s"}, "aggregates": {"n": "count()"}},
        "large": {"from": "small", "window": {"tumbling": "4s"}, "aggregates": {"n": "sum(values.n)"}},
    }
    pipelines["small"]["allowed_lateness"] = "0s"
    server = make_server({"sources": {"s": source}, "pipelines": pipelines})
    server.accept("s", [{"ts": 1_700_000_000}, {"ts": 1_700_000_000}])
    [row] = weir.eventually(lambda: server.results("large"), 20, "the window of four seconds")
    assert row["values"] == {"n": 2}
    assert row["receipt"]["closed_by"] == "idle"


@pytest.mark.parametrize("point", ["store_before_commit", "store_after_rows", "store_after_commit"])
def test_a_chain_is_exact_after_a_crash_at_each_point_of_a_commit(make_server, seed, tmp_path, point):
    rng = random.Random(seed)
    lines = [{"ts": 1_700_000_000_000 + i * STEP_MS, "k": i % 3, "i": i} for i in range(LINES)]
    path = tmp_path / "events.ndjson"
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    server = make_server(file_config(path), start=False)
    for _ in range(3):
        server.start(wait=False, env={"WEIR_CRASH_AT": f"{point}:{rng.randint(8, 14)}"})
        assert server.wait_exit(30) != 0
    server.start()
    wait_for_chain(server, lines)


def test_the_pipelines_of_a_chain_are_described_and_counted(make_server, tmp_path):
    lines = [{"ts": 1_700_000_000_000 + i * 100, "k": 1, "i": i} for i in range(5000)]
    path = tmp_path / "events.ndjson"
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    server = make_server(file_config(path))
    wait_for_chain(server, lines)
    answer = server.get("/api/v1/pipelines/large").json()
    assert answer["from"] == ["small"]
    small = server.get("/api/v1/pipelines/small").json()
    assert answer["counters"]["used"] == len(server.results("small", limit=1000)) > 200, (answer, small)
