"""One file, several partitions: its lines are read and decoded once and dealt by `partition_by`."""

import json
import os
import sqlite3
import threading

import pytest
from oracle import weir

T0 = 1_700_000_000_000
PARTITIONS = 4
LINES = 20_000


def line(i):
    # The order of the members changes from line to line, so some take the decoder's slow path.
    members = [("ts", T0 + i * 5), ("k", i % 23), ("i", i), (f"m{i % 1000}", "a\\u0041")]
    shift = i % len(members)
    return json.dumps(dict(members[shift:] + members[:shift])) + "\n"


def config_of(path, **source):
    return {
        "sources": {
            "s": {
                "file": {"path": str(path), "partitions": PARTITIONS, "partition_by": "k", **source.pop("file", {})},
                "time": "ts",
                "max_out_of_orderness": "1s",
                **source,
            }
        },
        "pipelines": {
            "p": {
                "from": "s",
                "key": ["k"],
                "window": {"tumbling": "10s"},
                "aggregates": {"n": "count()", "sum": "sum(i)"},
            }
        },
    }


def wait_all(server, lines, timeout_s=30):
    """The results, once every line is in them; each line is in them once."""

    def finished():
        rows = server.results("p", limit=10_000)
        return rows if sum(r["values"]["n"] for r in rows) >= lines else None

    rows = weir.eventually(finished, timeout_s, "all lines counted")
    assert sum(r["values"]["n"] for r in rows) == lines
    assert sum(r["values"]["sum"] for r in rows) == lines * (lines - 1) // 2
    return rows


def decoded(server):
    """weir_decoded_documents_total of the source, by path."""
    found = {}
    for row in server.get("/metrics").body.decode().splitlines():
        if row.startswith('weir_decoded_documents_total{source="s",path="'):
            labels, value = row.rsplit(" ", 1)
            found[labels.split('path="')[1].split('"')[0]] = int(value)
    return found


@pytest.mark.parametrize("shards", [1, 2, PARTITIONS])
def test_each_line_is_one_decoded_document(make_server, tmp_path, shards):
    path = tmp_path / "in.ndjson"
    path.write_text("".join(map(line, range(LINES))))
    server = make_server(config_of(path), env={"WEIR_ENGINE__SHARDS": str(shards)})
    wait_all(server, LINES)
    # The metrics that are served may be a moment older than the results.
    weir.eventually(lambda: sum(decoded(server).values()) >= LINES, 10, "all documents in the metrics")
    paths = decoded(server)
    assert paths["full"] > LINES // 100, "too few lines take the slow path for this to prove anything"
    assert sum(paths.values()) == LINES, paths


def test_a_pipe_is_dealt_without_losing_a_line(make_server, tmp_path):
    """What one reader takes from a pipe another does not get, so it must have one."""
    path = tmp_path / "pipe"
    os.mkfifo(path)
    descriptor = os.open(path, os.O_RDWR)  # so that neither side waits for the other to open it
    text = "".join(map(line, range(LINES))).encode()
    server = make_server(config_of(path, max_out_of_orderness="0s"), env={"WEIR_ENGINE__SHARDS": "2"})

    def write():
        with open(descriptor, "wb") as pipe:
            pipe.write(text)

    writer = threading.Thread(target=write, daemon=True)
    writer.start()
    rows = wait_all(server, LINES)
    writer.join(30)
    assert {r["receipt"]["closed_by"] for r in rows} <= {"watermark", "end_of_input"}


def test_bad_lines_are_counted_once_and_belong_to_partition_0(make_server, tmp_path):
    path = tmp_path / "in.ndjson"
    path.write_text("".join("{bad\n" if i % 10 == 3 else line(i) for i in range(1000)))
    server = make_server(config_of(path), env={"WEIR_ENGINE__SHARDS": "2"})
    state = server.wait_counted("s", "p", 1000)
    assert state["counters"] == {"in": 1000, "bad": 100}

    def all_letters():
        letters = server.dead_letters(source="s")
        return letters if len(letters) >= 100 else None

    letters = weir.eventually(all_letters, 10, "dead letters")
    assert sorted((x["partition"], x["offset"]) for x in letters) == [(0, i) for i in range(3, 1000, 10)]
    assert sum(decoded(server).values()) == 1000


@pytest.mark.parametrize("shards", [1, 2])
def test_on_bad_fail_stops_partition_0_alone(make_server, tmp_path, shards):
    path = tmp_path / "in.ndjson"
    path.write_text("".join("{bad\n" if i == 500 else line(i) for i in range(LINES)))
    server = make_server(config_of(path, on_bad="fail"), env={"WEIR_ENGINE__SHARDS": str(shards)})

    def others_ended():
        offsets = [p["offset"] for p in server.source("s")["partitions"]]
        return offsets if offsets[1:] == [LINES] * 3 else None

    assert weir.eventually(others_ended, 20, "the other partitions at the end")[0] <= 500
    component = server.get("/health").json()["components"]["source.s"]
    assert component["status"] == "down" and "offset 500" in component["reason"], component


def restart_at(server, starts, held=0):
    """Restarts the server as if each partition had come as far as this and no further, and held so many lines in open windows."""
    assert server.terminate() == 0
    with sqlite3.connect(server.data_dir / "weir.db") as store:
        for partition, start in enumerate(starts):
            store.execute("UPDATE positions SET base=?, position=? WHERE partition=?", (start - held, start, partition))
    store.close()
    server.start()


def count_from(server, starts, held=0):
    """What the server then counts."""
    restart_at(server, starts, held)

    def ended():
        state = server.source("s")
        return state if all(p["offset"] == LINES for p in state["partitions"]) else None

    return weir.eventually(ended, 20, "the end of the file")["counters"]["in"]


@pytest.fixture
def read_server(make_server, tmp_path):
    path = tmp_path / "in.ndjson"
    path.write_text("".join(map(line, range(LINES))))
    server = make_server(config_of(path), env={"WEIR_ENGINE__SHARDS": "1"})
    wait_all(server, LINES)
    return server


def test_partitions_whose_positions_differ_go_on_each_at_its_own(read_server):
    """As after a change of the number of shards: what is stored says for each partition where it stood."""
    starts = [LINES - 2_000, LINES - 7_000, LINES, LINES - 5_000]
    alone = [
        count_from(read_server, [start if p == q else LINES for q in range(PARTITIONS)])
        for p, start in enumerate(starts)
    ]
    assert count_from(read_server, starts) == sum(alone)
    assert count_from(read_server, starts, held=1_000) == sum(alone), (
        "what was held is read again and not counted again"
    )
    assert alone[2] == 0 and 0 < alone[0] < 2_000 and 0 < alone[1] < 7_000
    assert count_from(read_server, [LINES - 4_000] * PARTITIONS) == 4_000


def test_a_file_that_is_too_short_for_one_of_the_partitions_is_shown(read_server):
    restart_at(read_server, [LINES, LINES, LINES + 5, LINES])

    def reason():
        component = read_server.get("/health").json()["components"]["source.s"]
        return component["reason"] if component["status"] == "down" else None

    text = weir.eventually(reason, 20, "the source in /health")
    assert "partition 2" in text and f"line {LINES + 5}" in text, text
