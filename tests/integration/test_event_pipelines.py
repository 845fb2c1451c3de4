"""Pipelines without a window: event in, event out."""

import json
import random

import pytest
from oracle import weir

T0 = 1_700_000_000_000


def event(i, **others):
    return {"ts": T0 + i * 10, "i": i, "user": f"u{i % 7}", "amount": i % 50 / 2, **others}


def lines(events):
    return "".join(json.dumps(e) + "\n" for e in events)


def config_of(pipelines, **sinks):
    return {
        "sources": {"s": {"http": {}, "time": "ts"}, "t": {"http": {}, "time": "ts"}},
        "pipelines": pipelines,
        "sinks": {"o": {"blackhole": {}}, **sinks},
    }


def replay(tmp_path, pipelines, inputs, *options, **engine):
    config = config_of(pipelines)
    if engine:
        config["engine"] = engine
    path = weir.write_config(tmp_path, config)
    return weir.replay(path, inputs, *options)


def write(tmp_path, name, text):
    path = tmp_path / name
    path.write_text(text, encoding="utf-8")
    return path


def test_select_makes_a_record_of_each_event_in_the_order_of_its_names(tmp_path):
    pipeline = {
        "from": "s",
        "where": "amount >= 1.0",
        "select": {"who": "user", "double": "amount * 2", "is_big": "amount > 20", "gone": "nothing", "deep": "o.list"},
        "to": "o",
    }
    events = [event(i, o={"list": [i, {"x": None}]}) for i in range(100)]
    answer = replay(tmp_path, {"p": pipeline}, {"s": write(tmp_path, "in.ndjson", lines(events))})
    # fmt: off
    want = [
        {"who": e["user"], "double": e["amount"] * 2, "is_big": e["amount"] > 20, "gone": None, "deep": e["o"]["list"]}
        for e in events if e["amount"] >= 1
    ]
    # fmt: on
    assert answer.records == want
    assert [list(r) for r in answer.records] == [["who", "double", "is_big", "gone", "deep"]] * len(want)
    state = answer.source("s")
    assert state["pipelines"]["p"] == {"used": len(want), "filtered": 100 - len(want), "too_late": 0}


def test_without_select_the_event_comes_out_as_it_came(tmp_path):
    odd = [
        '{"ts": 1700000000000,   "b" : 1e3, "a":"\\u00e9\\n", "big": 123456789012345678901234567890}',
        '{"ts":1700000000001,"x":{"y":[1,2,{"z":null}]}}',
        '{ "ts":1600000000000 }',  # far behind the watermark: without a window nothing is late
    ]
    answer = replay(tmp_path, {"p": {"from": "s", "to": "o"}}, {"s": write(tmp_path, "in.ndjson", "\n".join(odd))})
    assert answer.text == "\n".join(odd) + "\n"
    assert answer.source("s")["pipelines"]["p"] == {"used": 3, "filtered": 0, "too_late": 0}


def test_replay_prints_by_source_partition_and_offset_for_any_number_of_shards(tmp_path, seed):
    rng = random.Random(seed)
    inputs, want = {"t": [], "s": []}, {"s": "", "t": ""}
    for source in ("t", "s"):
        for partition in range(3):
            text = lines(event(i, at=f"{source}{partition}") for i in range(rng.randint(0, 40_000)))
            inputs[source].append(write(tmp_path, f"{source}{partition}.ndjson", text))
            want[source] += text
    pipelines = {
        "p": {"from": ["s", "t"], "to": "o"},
        "b": {"from": "t", "where": "i < 3", "select": {"i": "i"}, "to": "o"},
    }
    texts = set()
    for shards, batch_size in [(1, 1024), (2, 1000), (4, 77)]:
        texts.add(replay(tmp_path, pipelines, inputs, shards=shards, batch_size=batch_size).text)
    (text,) = texts
    assert text[text.index('{"ts"') :] == want["s"] + want["t"]
    assert weir.records_of(text[: text.index('{"ts"')]) == [{"i": i} for i in range(3)] * sum(
        bool(path.read_text()) for path in inputs["t"]
    )


def test_events_and_results_of_one_source_do_not_disturb_each_other(tmp_path):
    pipelines = {
        "a": {"from": "s", "where": "i % 10 == 0", "to": "o"},
        "n": {"from": "s", "window": {"tumbling": "1s"}, "aggregates": {"n": "count()"}, "to": "o"},
        "z": {"from": "s", "select": {"i": "i"}, "to": "o"},
    }
    answer = replay(tmp_path, pipelines, {"s": write(tmp_path, "in.ndjson", lines(map(event, range(1000))))})
    assert [r["i"] for r in answer.records[:100]] == list(range(0, 1000, 10))
    assert [r["values"]["n"] for r in answer.records[100:110]] == [100] * 10
    assert answer.records[110:] == [{"i": i} for i in range(1000)]
    for options in (["--revisions"], ["--pipeline", "z"]):
        again = replay(tmp_path, pipelines, {"s": tmp_path / "in.ndjson"}, *options)
        assert [r for r in again.records if list(r) == ["i"]] == [{"i": i} for i in range(1000)]


def run_config(tmp_path, **pipeline):
    pipelines = {"p": {"from": "s", "to": ["out", "o"], **pipeline}}
    return config_of(pipelines, out={"file": {"path": str(tmp_path / "out.ndjson")}})


def out_of(tmp_path):
    return weir.records_of((tmp_path / "out.ndjson").read_text("utf-8"))


def test_events_reach_the_file_of_a_sink_and_the_counters_hold(tmp_path, make_server):
    server = make_server(run_config(tmp_path, where="i % 2 == 0", select={"i": "i", "who": "user"}))
    for begin in range(0, 1000, 100):
        server.accept("s", [event(i) for i in range(begin, begin + 100)])
    want = [{"i": i, "who": f"u{i % 7}"} for i in range(0, 1000, 2)]
    weir.eventually(lambda: len(out_of(tmp_path)) >= 500, what="500 events in the file")
    assert out_of(tmp_path) == want
    server.wait_counted("s", "p", 1000)
    pipeline = server.get("/api/v1/pipelines/p").json()
    assert pipeline["window"] is None and pipeline["aggregates"] == []
    assert pipeline["select"] == [{"name": "i", "expression": "i"}, {"name": "who", "expression": "user"}]
    assert pipeline["to"] == ["out", "o"]
    counters = pipeline["counters"]
    assert (counters["used"], counters["filtered"], counters["results"]) == (500, 500, 500)
    assert server.terminate() == 0
    assert out_of(tmp_path) == want


@pytest.mark.parametrize("kills", [3])
def test_no_event_is_lost_by_kill_9(tmp_path, make_server, kills):
    """A file is written at least once: what was written after the last durable mark comes again, in order."""
    server = make_server(run_config(tmp_path))
    sent = 0
    for _ in range(kills):
        for _ in range(5):
            server.accept("s", [event(i) for i in range(sent, sent + 200)])
            sent += 200
        server.kill()
        server.start()
    weir.eventually(lambda: {r["i"] for r in out_of(tmp_path)} == set(range(sent)), what="every event in the file")
    assert server.terminate() == 0
    count = len(out_of(tmp_path))
    server.start()
    server.accept("s", [event(sent)])
    weir.eventually(lambda: len(out_of(tmp_path)) > count, what="one more event")
    assert out_of(tmp_path)[count:] == [event(sent)], "a clean restart has written events again"
