"""Windows and aggregates, one sentence of the contract at a time, by `weir replay`."""

import json

import pytest
from oracle import weir

T0 = 1_700_000_000_000  # a multiple of 10 s


def replay(tmp_path, pipeline, *partitions, options=(), source=None, name="p", env=None):
    """Replays partitions (lists of events) through one pipeline; times default to T0."""
    files = []
    for i, events in enumerate(partitions):
        files.append(tmp_path / f"part{i}.ndjson")
        files[-1].write_text("".join(json.dumps({"ts": T0, **event}) + "\n" for event in events))
    config = weir.write_config(
        tmp_path,
        {
            "sources": {"s": {"http": {}, "time": "ts", "max_out_of_orderness": "0s", **(source or {})}},
            "pipelines": {
                name: {"from": "s", "window": {"tumbling": "10s"}, "aggregates": {"n": "count()"}, **pipeline}
            },
        },
    )
    return weir.replay(config, {"s": files}, *options, env=env)


def at(*seconds, **fields):
    return [{"ts": T0 + int(s * 1000), **fields} for s in seconds]


def values(tmp_path, function, *inputs):
    """One aggregate over inputs of field x, all in one window."""
    (record,) = replay(tmp_path, {"aggregates": {"v": function}}, [{"x": x} for x in inputs]).records
    return record["values"]["v"]


def counts(answer):
    return {(r["window_start"] - T0) // 1000: r["values"]["n"] for r in answer.records}


def test_record_has_exactly_the_fields_of_the_contract(tmp_path):
    answer = replay(tmp_path, {"key": ["geo.country"]}, [*at(0, 1, geo={"country": "FR"}), *at(12)], name="revenue")
    first = answer.records[0]
    assert first == {
        "id": f'revenue|["FR"]|{T0}',
        "pipeline": "revenue",
        "window_start": T0,
        "window_end": T0 + 10_000,
        "key": {"country": "FR"},
        "values": {"n": 2},
        "emit": "final",
        "revision": 0,
        "receipt": {
            "on_time": 2,
            "late_accepted": 0,
            "late_dropped": 0,
            "type_errors": 0,
            "closed_by": "watermark",
            "watermark": T0 + 12_000,
        },
    }
    assert answer.records[1]["receipt"]["closed_by"] == "end_of_input"
    assert answer.records[1]["id"] == f"revenue|[null]|{T0 + 10_000}"


def test_window_is_half_open_and_aligned_to_the_epoch(tmp_path):
    assert counts(replay(tmp_path, {}, at(0, 9.999, 10, 19.999, 20))) == {0: 2, 10: 2, 20: 1}


def test_window_offset_moves_the_alignment(tmp_path):
    assert counts(replay(tmp_path, {"window": {"tumbling": "10s", "offset": "3s"}}, at(0, 2.999, 3, 12.999, 13))) == {
        -7: 2,
        3: 2,
        13: 1,
    }


def test_window_before_1970_is_aligned_downwards(tmp_path):
    (record,) = replay(tmp_path, {}, [{"ts": "1969-12-31T23:59:59.500Z"}]).records
    assert (record["window_start"], record["window_end"]) == (-10_000, 0)


def test_size_of_a_day_is_a_utc_day(tmp_path):
    (record,) = replay(tmp_path, {"window": {"tumbling": "1d"}}, [{"ts": "2013-06-01T17:00:00+02:00"}]).records
    assert record["window_start"] == 1_370_044_800_000 and record["window_end"] == 1_370_131_200_000


def test_window_closes_when_the_watermark_equals_its_end(tmp_path):
    source = {"max_out_of_orderness": "2s"}
    assert counts(replay(tmp_path, {}, at(0, 11.999), options=["--keep-open"], source=source)) == {}
    assert counts(replay(tmp_path, {}, at(0, 12), options=["--keep-open"], source=source)) == {0: 1}


def test_pipeline_watermark_is_the_smallest_of_its_partitions(tmp_path):
    answer = replay(tmp_path, {}, at(0, 30), at(1, 12), options=["--keep-open"])
    closed = [r for r in answer.records if r["window_start"] == T0]
    assert [r["values"]["n"] for r in closed] == [2]
    # 12 s is the smallest watermark with which a partition reached the end of the window.
    assert closed[0]["receipt"]["watermark"] == T0 + 12_000


def test_late_is_judged_by_the_own_partition_alone(tmp_path):
    """The other partition is far ahead or far behind: it makes no difference."""
    slow = at(0, 1, 2, 3)
    answer = replay(tmp_path, {"late": "drop"}, slow, at(500, 600))
    assert counts(answer)[0] == 4
    answer = replay(tmp_path, {"late": "drop", "allowed_lateness": "0s"}, at(100, 5), at(0))
    assert counts(answer)[0] == 1
    assert answer.source("s")["pipelines"]["p"] == {"used": 2, "filtered": 0, "too_late": 1}


def test_late_event_within_grace_updates_the_window(tmp_path):
    answer = replay(tmp_path, {"allowed_lateness": "10s"}, at(0, 1, 12, 2, 3, 35), options=["--revisions"])
    chain = [r for r in answer.records if r["window_start"] == T0]
    assert chain[0]["emit"] == "final" and chain[0]["revision"] == 0 and chain[0]["values"]["n"] == 2
    last = chain[-1]
    assert (last["emit"], last["revision"], last["values"]["n"]) == ("update", 2, 4)
    assert last["receipt"]["on_time"] == 2 and last["receipt"]["late_accepted"] == 2


def test_event_is_too_late_when_the_watermark_reaches_end_plus_lateness(tmp_path):
    pipeline = {"allowed_lateness": "5s"}
    assert counts(replay(tmp_path, pipeline, at(0, 14.999, 1)))[0] == 2
    answer = replay(tmp_path, pipeline, at(0, 15, 1))
    assert counts(answer)[0] == 1
    assert answer.source("s")["pipelines"]["p"]["too_late"] == 1


def test_allowed_lateness_is_10_s_by_default(tmp_path):
    assert counts(replay(tmp_path, {}, at(0, 19.999, 1)))[0] == 2
    assert counts(replay(tmp_path, {}, at(0, 20, 1)))[0] == 1


def test_default_out_of_orderness_is_5_s(tmp_path):
    path = tmp_path / "in.ndjson"
    path.write_text("".join(json.dumps(event) + "\n" for event in at(0, 14.999, 1, 15, 2)))
    config = weir.write_config(
        tmp_path,
        {
            "sources": {"s": {"http": {}, "time": "ts"}},
            "pipelines": {
                "p": {
                    "from": "s",
                    "window": {"tumbling": "10s"},
                    "allowed_lateness": "0s",
                    "aggregates": {"n": "count()"},
                }
            },
        },
    )
    answer = weir.replay(config, {"s": path})
    assert counts(answer)[0] == 2
    assert answer.source("s")["pipelines"]["p"]["too_late"] == 1


@pytest.mark.parametrize("late", ["drop", "dlq"])
def test_drop_and_dlq_take_no_late_event(tmp_path, late):
    answer = replay(tmp_path, {"late": late, "allowed_lateness": "1h"}, at(0, 1, 12, 2, 3))
    assert counts(answer)[0] == 2
    assert answer.source("s")["pipelines"]["p"] == {"used": 3, "filtered": 0, "too_late": 2}


def test_late_event_of_a_new_key_gives_an_update_without_a_final(tmp_path):
    events = [{"ts": T0, "k": "a"}, {"ts": T0 + 12_000, "k": "a"}, {"ts": T0 + 1, "k": "b"}]
    answer = replay(tmp_path, {"key": ["k"]}, events, options=["--revisions"])
    chain = [r for r in answer.records if r["key"] == {"k": "b"}]
    assert [(r["emit"], r["revision"], r["values"]["n"]) for r in chain] == [("update", 1, 1)]


def test_filtered_events_move_the_watermark_and_are_filtered_before_lateness(tmp_path):
    events = [*at(0, keep=True), *at(60, keep=False), *at(1, keep=False), *at(2, keep=True)]
    answer = replay(tmp_path, {"where": "keep"}, events)
    assert counts(answer) == {0: 1}
    assert answer.source("s")["pipelines"]["p"] == {"used": 1, "filtered": 2, "too_late": 1}


def test_missing_and_null_key_are_one_group_and_types_are_kept(tmp_path):
    keys = [{}, {"k": None}, {"k": 1}, {"k": 1.0}, {"k": "1"}, {"k": True}, {"k": 1.5}, {"k": ""}, {"k": "null"}]
    answer = replay(tmp_path, {"key": ["k"]}, keys)
    got = {json.dumps(r["key"]["k"]): r["values"]["n"] for r in answer.records}
    assert got == {"null": 2, "1": 2, '"1"': 1, "true": 1, "1.5": 1, '""': 1, '"null"': 1}
    assert {r["id"] for r in answer.records} == {f"p|[{k}]|{T0}" for k in got}


def test_key_may_be_renamed(tmp_path):
    (record,) = replay(
        tmp_path, {"key": {"land": "geo.country", "b": "x"}}, [{"geo": {"country": "FR"}, "x": 1}]
    ).records
    assert record["key"] == {"land": "FR", "b": 1} and record["id"] == f'p|["FR",1]|{T0}'


def test_path_in_brackets_reaches_a_key_with_a_dot(tmp_path):
    (record,) = replay(tmp_path, {"aggregates": {"s": 'sum(a["b.c"])'}}, [{"a": {"b.c": 3}, "b": 1}]).records
    assert record["values"] == {"s": 3}


def test_order_is_by_pipeline_window_and_key(tmp_path):
    events = [e for s in (25, 5, 15) for k in ("b", "a") for e in at(s, k=k)]
    config = weir.write_config(
        tmp_path,
        {
            "sources": {"s": {"http": {}, "time": "ts", "max_out_of_orderness": "1m"}},
            "pipelines": {
                name: {"from": "s", "window": {"tumbling": "10s"}, "key": ["k"], "aggregates": {"n": "count()"}}
                for name in ("zeta", "alpha")
            },
        },
    )
    path = tmp_path / "in.ndjson"
    path.write_text("".join(json.dumps(e) + "\n" for e in events))
    places = [(r["pipeline"], r["window_start"], r["key"]["k"]) for r in weir.replay(config, {"s": path}).records]
    assert places == sorted(places) and len(places) == 12


# Aggregates -------------------------------------------------------------------------------------


def test_sum_of_integers_is_exact_beyond_64_bits(tmp_path):
    big = 2**63 - 1
    answer = replay(tmp_path, {"aggregates": {"v": "sum(x)"}}, [{"x": big}] * 5)
    assert f'"v":{5 * big}' in answer.text.replace(" ", "")


def test_sum_of_doubles_is_compensated(tmp_path):
    assert values(tmp_path, "sum(x)", 1.5, 1e100, 1.5, -1e100) == 3.0


def test_sum_over_no_value_is_null(tmp_path):
    assert values(tmp_path, "sum(x)", None) is None


def test_overflow_to_infinity_is_null(tmp_path):
    assert values(tmp_path, "sum(x)", 1.7e308, 1.7e308) is None


def test_variance_survives_a_large_mean(tmp_path):
    base = 1e9
    assert values(tmp_path, "variance(x)", base + 4, base + 7, base + 13, base + 16) == pytest.approx(30, rel=1e-9)


def test_spread_of_one_value(tmp_path):
    assert values(tmp_path, "stddev(x)", 5) is None
    assert values(tmp_path, "variance(x)", 5) is None
    assert values(tmp_path, "stddev_pop(x)", 5) == 0


def test_min_and_max_of_integers_stay_integers(tmp_path):
    answer = replay(tmp_path, {"aggregates": {"lo": "min(x)", "hi": "max(x)"}}, [{"x": 2**53 + 1}, {"x": -(2**53) - 1}])
    assert answer.records[0]["values"] == {"lo": -(2**53) - 1, "hi": 2**53 + 1}


def test_wrong_types_are_skipped_and_counted(tmp_path):
    answer = replay(
        tmp_path, {"aggregates": {"v": "sum(x)", "c": "count(x)"}}, [{"x": x} for x in (1, "2", True, None, 4)]
    )
    (record,) = answer.records
    assert record["values"] == {"v": 5, "c": 4}
    assert record["receipt"]["type_errors"] == 2


def test_first_and_last_go_by_event_time_then_partition_then_offset(tmp_path):
    pipeline = {"aggregates": {"f": "first(x)", "l": "last(x)"}}
    one = [{"ts": T0 + 5, "x": "late"}, {"ts": T0 + 1, "x": "a0"}, {"ts": T0 + 1, "x": "a1"}, {"ts": T0 + 9, "x": "z0"}]
    two = [{"ts": T0 + 1, "x": "b0"}, {"ts": T0 + 9, "x": "z1"}, {"ts": T0, "x": None}]
    (record,) = replay(tmp_path, pipeline, one, two).records
    assert record["values"] == {"f": "a0", "l": "z1"}


def test_expressions_may_be_aggregated(tmp_path):
    pipeline = {"aggregates": {"v": "sum(price * quantity)", "hi": "max(abs(x))"}}
    (record,) = replay(
        tmp_path, pipeline, [{"price": 2.5, "quantity": 2, "x": -3}, {"price": 1, "quantity": 7, "x": 2}]
    ).records
    assert record["values"] == {"v": 12, "hi": 3}


@pytest.mark.parametrize(
    "where, kept",
    [
        ('name.startsWith("al")', 1),
        ('name.endsWith("e")', 1),
        ('name.contains("o")', 1),
        ('name.matches("^[a-c].*")', 2),
        ('name in ["bob", "eve"]', 1),
        ("size(name) == 3", 1),
        ("has(name)", 2),
        ("!has(name)", 1),
        ("x > 1 ? true : false", 1),
        ("x + 1 == 3", 1),
        ("x % 2 == 0", 1),
        ("-x < -1", 1),
        ("double(x) / 4.0 == 0.5", 1),
        ('string(x) == "2"', 1),
        ("sqrt(4.0) == double(x)", 1),
        ("floor(x + 0.5) == 2.0", 1),
        ("min(x, 1) == 1 && max(x, 1) == 2", 1),
        ('tags[0] == "red"', 1),
        ("x > 1 || missing > 5", 1),
        ("missing > 5", 0),
        ("missing", 0),
        ("true", 3),
        ("false", 0),
        ('timestamp(when) > timestamp("2023-11-14T22:13:20Z")', 2),
        ("x > 1 && x < 3", 1),
        ("(x == 1 || x == 2) && !(x == 1)", 1),
    ],
)
def test_where_understands(tmp_path, where, kept):
    events = [
        {"name": "alice", "x": 1, "when": "2023-11-14T22:13:20Z"},
        {"name": "bob", "x": 2, "tags": ["red", "blue"], "when": "2023-11-14T22:13:21Z"},
        {"when": "2024-01-01T00:00:00Z"},
    ]
    answer = replay(tmp_path, {"where": where}, events)
    assert answer.source("s")["pipelines"]["p"] == {"used": kept, "filtered": 3 - kept, "too_late": 0}


# Emissions, keys without end, several sources ---------------------------------------------------


def test_emit_count_shows_early_results_and_leaves_the_final_alone(tmp_path):
    events = [e for s in range(9) for e in at(s, k="a")] + at(3, k="b") + at(30, k="a")
    pipeline = {"key": ["k"], "emit": {"count": 3}}
    all_of_them = replay(
        tmp_path, pipeline, events, options=["--revisions"], env={"WEIR_ENGINE__BATCH_SIZE": "1"}
    ).records
    of_a = [r for r in all_of_them if r["key"]["k"] == "a" and r["window_start"] == T0]
    assert [r["emit"] for r in of_a[:-1]] == ["early"] * (len(of_a) - 1) and len(of_a) >= 2
    assert of_a[-1]["emit"] == "final" and of_a[-1]["values"]["n"] == 9
    early = [r["values"]["n"] for r in of_a[:-1]]
    assert early == sorted(set(early)) and max(early) <= 9
    last = replay(tmp_path, pipeline, events).records
    assert [r["emit"] for r in last] == ["final"] * 3


def test_keys_beyond_the_limit_go_to_one_overflow_group(tmp_path):
    answer = replay(tmp_path, {"key": ["k"], "key_limit": 5}, [{"k": f"key{i % 20}"} for i in range(200)])
    by_key = {r["key"]["k"]: r["values"]["n"] for r in answer.records}
    assert "__overflow__" in by_key and len(by_key) == 6
    assert sum(by_key.values()) == 200
    assert all(n == 10 for key, n in by_key.items() if key != "__overflow__")


def test_pipeline_from_two_sources_counts_both(tmp_path):
    config = weir.write_config(
        tmp_path,
        {
            "sources": {s: {"http": {}, "time": "ts"} for s in ("a", "b")},
            "pipelines": {"p": {"from": ["a", "b"], "window": {"tumbling": "10s"}, "aggregates": {"n": "count()"}}},
        },
    )
    for name, seconds in (("a", (0, 1)), ("b", (2, 11))):
        (tmp_path / name).write_text("".join(json.dumps(e) + "\n" for e in at(*seconds)))
    answer = weir.replay(config, {"a": tmp_path / "a", "b": tmp_path / "b"})
    assert counts(answer) == {0: 3, 10: 1}
    for name in ("a", "b"):
        assert answer.source(name)["counters"]["in"] == 2
        assert answer.source(name)["pipelines"]["p"]["used"] == 2


def test_time_unit_overrides_the_guess_by_magnitude(tmp_path):
    (record,) = replay(tmp_path, {}, [{"ts": 1_700_000_000}], source={"time_unit": "ms"}).records
    assert record["window_start"] == 1_700_000_000


def test_microseconds_of_event_time_are_kept(tmp_path):
    """A window closes by the exact watermark, not by one cut to milliseconds."""
    events = [{"ts": T0}, {"ts": "2023-11-14T22:13:29.999999Z"}]
    assert replay(tmp_path, {}, events, options=["--keep-open"]).records == []
