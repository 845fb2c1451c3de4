"""Fields of a record beside its document, by `weir replay` and `weir check`."""

import json

from oracle import weir

T0 = 1_700_000_000_000

KAFKA = {"kafka": {"brokers": ["127.0.0.1:1"], "topics": ["t"]}}


def make_config(tmp_path, source, pipeline):
    pipelines = {"p": {"from": "s", "window": {"tumbling": "10s"}, "aggregates": {"n": "count()"}, **pipeline}}
    return weir.write_config(tmp_path, {"sources": {"s": {"time": "ts", **source}}, "pipelines": pipelines})


def make_files(tmp_path, *partitions):
    files = []
    for i, events in enumerate(partitions):
        files.append(tmp_path / f"part{i}.ndjson")
        files[-1].write_text("".join(json.dumps({"ts": T0, **event}) + "\n" for event in events))
    return files


def test_files_of_a_kafka_source_give_partition_and_line_and_nothing_else(tmp_path):
    pipeline = {
        "where": "_offset > 0",
        "key": ["_partition", "_topic", "_headers.h", "_timestamp", "_key"],
        "aggregates": {"n": "count()", "offsets": "sum(_offset)", "keys": "count(_key)"},
    }
    files = make_files(tmp_path, [{"_key": "own"}] * 3, [{"_partition": 9, "_topic": "own"}] * 4)
    records = weir.replay(make_config(tmp_path, KAFKA, pipeline), {"s": files}).records
    assert [(r["key"]["_partition"], r["values"]) for r in records] == [
        (0, {"n": 2, "offsets": 3, "keys": 0}),
        (1, {"n": 3, "offsets": 6, "keys": 0}),
    ]
    for record in records:
        assert [record["key"][name] for name in ("_topic", "h", "_timestamp", "_key")] == [None] * 4


def test_other_sources_keep_members_of_these_names(tmp_path):
    files = make_files(tmp_path, [{"_key": "own", "_headers": {"h": 1}}])
    pipeline = {"key": ["_key", "_headers.h", "_offset"]}
    (record,) = weir.replay(make_config(tmp_path, {"http": {}}, pipeline), {"s": files}).records
    assert record["key"] == {"_key": "own", "h": 1, "_offset": None}


def test_wrong_use_is_told_by_check_with_its_place(tmp_path):
    config = make_config(tmp_path, KAFKA, {"where": "_headers == null"})
    answer = weir.run("check", config)
    assert answer.returncode == 78
    assert "_headers needs the name of one header" in answer.stderr
