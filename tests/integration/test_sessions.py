"""Session windows: against DuckDB on the flights, against the model on random streams, and what restarts leave of them."""

import json
import random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from oracle import duck, sessions, weir

START_MS = 1_700_000_000_000
FINAL, UPDATE = "final", "update"


def config_of(gap, lateness="0s", max_duration=None, out_of_orderness="5s", key="k", **more):
    session = {"gap": gap, **({"max_duration": max_duration} if max_duration else {})}
    return {
        "sources": {"s": {"http": {}, "time": "ts", "max_out_of_orderness": out_of_orderness}},
        "pipelines": {
            "p": {
                "from": "s",
                "key": [key],
                "window": {"session": session},
                "allowed_lateness": lateness,
                "aggregates": {"n": "count()", "total": "sum(v)"},
                **more,
            }
        },
    }


def replay(directory, config, files, *options, shards=1, batch_size=None):
    path = weir.write_config(directory, config)
    env = {"WEIR_ENGINE__SHARDS": str(shards)}
    if batch_size:
        env["WEIR_ENGINE__BATCH_SIZE"] = str(batch_size)
    return weir.replay(path, {"s": files}, *options, env=env)


def rank(record):
    receipt = record["receipt"]
    return record["emit"] != "early", record["revision"], receipt["on_time"] + receipt["late_accepted"]


# --- DuckDB ---------------------------------------------------------------------------------------------------------


def sessions_by_duckdb(files, key, gap_ms):
    connection = duck.connect(files)
    rows = connection.execute(f"""
        with marked as (
            select *, case when t - lag(t) over byKey <= {gap_ms} then 0 else 1 end as begins
            from flights window byKey as (partition by {key} order by t, part, seq)
        ), numbered as (
            select *, sum(begins) over (partition by {key} order by t, part, seq) as number from marked
        )
        select {key}, min(t), max(t) + {gap_ms}, count(*), sum(distance), max(dep_delay)
        from numbered group by {key}, number""").fetchall()
    return {(row[0], row[1]): row[2:] for row in rows}


@pytest.mark.parametrize("key, gap_h", [("tailnum", 3), ("carrier", 1)])
@pytest.mark.parametrize("partitions, disorder", [(1, None), (4, None), (4, 30 * 60_000)])
def test_sessions_of_flights_are_those_of_duckdb(tmp_path, flight_files, key, gap_h, partitions, disorder):
    files = flight_files((1,), partitions, disorder, split="flight")
    config = config_of(f"{gap_h}h", out_of_orderness="30m", key=key)
    config["pipelines"]["p"]["aggregates"] = {
        "n": "count()",
        "miles": "sum(distance)",
        "most": "max(dep_delay)",
    }
    wanted = sessions_by_duckdb(files, key, gap_h * 3_600_000)
    outputs = [replay(tmp_path, config, files, shards=shards).text for shards in (1, 2, 4)]
    assert outputs[0] == outputs[1] == outputs[2]
    found = {}
    for record in weir.records_of(outputs[0]):
        assert record["emit"] == FINAL
        values = record["values"]
        found[record["key"][key], record["window_start"]] = (
            record["window_end"],
            values["n"],
            values["miles"],
            values["most"],
        )
    assert len(wanted) > 20
    assert found == wanted


# --- the model ------------------------------------------------------------------------------------------------------


def write_streams(directory, streams):
    files = []
    for i, events in enumerate(streams):
        files.append(directory / f"part{i}.ndjson")
        lines = [json.dumps({"ts": time, "k": key, "v": value}) for time, key, value in events]
        files[-1].write_text("".join(line + "\n" for line in lines))
    return files


def told(streams, delay_ms, **window):
    model = sessions.Model(**window)
    counts = {"used": 0, "too_late": 0}
    for partition, events in enumerate(streams):
        largest = None
        for time, key, value in events:
            watermark = None if largest is None else largest - delay_ms
            layer = model.add(key, partition, time, watermark, value)
            counts["used" if layer else "too_late"] += 1
            largest = time if largest is None else max(largest, time)
    return model, counts


def shape(record):
    receipt = record["receipt"]
    return (
        record["window_end"],
        receipt["on_time"],
        receipt["late_accepted"],
        record["values"]["total"],
    )


def check_against_model(directory, streams, delay_ms, window, shards_and_batches):
    files = write_streams(directory, streams)
    model, counts = told(streams, delay_ms, **window)
    wanted, finals = model.expected(), model.expected(("on_time",))
    # A session that reaches back over one that is gone can begin when that did.
    if "ambiguous" in wanted or "ambiguous" in finals:
        return
    config = config_of(
        f"{window['gap']}ms",
        f"{window['lateness']}ms",
        f"{window['max_duration']}ms" if window.get("max_duration") else None,
        f"{delay_ms}ms",
        late=window.get("late", "update"),
    )
    done = [replay(directory, config, files, shards=shards, batch_size=batch) for shards, batch in shards_and_batches]
    assert len({run.text for run in done}) == 1
    records = done[0].records
    assert {(r["key"]["k"], r["window_start"]): shape(r) for r in records} == wanted
    assert len(records) == len(wanted)
    pipeline = done[0].source("s")["pipelines"]["p"]
    assert {name: pipeline[name] for name in counts} == counts

    last, last_finals = {}, {}
    for record in replay(directory, config, files, "--revisions").records:
        name = record["key"]["k"], record["window_start"]
        if name not in last or rank(record) >= rank(last[name]):
            last[name] = record
        if record["emit"] == FINAL:
            last_finals[name] = shape(record)
    assert {name: shape(r) for name, r in last.items() if "merged_into" not in r} == wanted
    assert last_finals == finals
    ids = {r["id"] for r in records}
    for record in last.values():
        if "merged_into" in record:
            assert record["values"] == {"n": 0, "total": None}
            assert record["merged_into"] in ids | {r["id"] for r in last.values()}


events = st.lists(
    st.tuples(
        st.integers(0, 9000), st.sampled_from([0, 0, 0, 2000, 9000, 40_000]), st.integers(0, 2), st.integers(0, 99)
    ),
    max_size=40,
)


def times_of(steps):
    now, stream = START_MS, []
    for step, back, key, value in steps:
        now += step
        stream.append((now - back, key, value))
    return stream


@settings(
    max_examples=40,
    deadline=None,
    print_blob=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(
    st.lists(events, min_size=1, max_size=4),
    st.integers(1, 15_000),
    st.sampled_from([0, 5000, 20_000]),
    st.sampled_from([0, 0, 15_000, 30_000]),
    st.sampled_from([0, 3000, 9000]),
    st.sampled_from(["update", "update", "drop"]),
)
def test_random_sessions_are_those_of_the_model(tmp_path, steps, gap, lateness, max_duration, delay, late):
    window = {
        "gap": gap,
        "lateness": lateness,
        "late": late,
        "max_duration": max(max_duration, gap) if max_duration else None,
    }
    check_against_model(tmp_path, [times_of(s) for s in steps], delay, window, [(1, None), (4, 1), (2, 7)])


@pytest.mark.parametrize("max_duration", [None, 60_000])
def test_long_streams_in_many_rounds_are_those_of_the_model(tmp_path, seed, max_duration):
    rng = random.Random(seed)
    streams = []
    for _ in range(3):
        now, stream = START_MS, []
        for _ in range(9000):
            now += rng.randrange(60)
            back = rng.choice([0] * 20 + [rng.randrange(20_000), rng.randrange(90_000)])
            stream.append((now - back, rng.randrange(400), rng.randrange(100)))
        streams.append(stream)
    window = {"gap": 20_000, "lateness": 30_000, "max_duration": max_duration}
    check_against_model(tmp_path, streams, 5000, window, [(1, None), (3, 100), (2, 8192)])


# --- restarts -------------------------------------------------------------------------------------------------------


def core(record):
    return shape(record) + (record["values"]["n"], record["emit"])


def test_sessions_over_kills_are_those_of_a_replay(tmp_path, make_server, seed):
    rng = random.Random(seed)
    now, lines = START_MS, []
    for i in range(6000):
        now += rng.randrange(400)
        back = rng.choice([0] * 10 + [rng.randrange(60_000)])
        lines.append(json.dumps({"ts": now - back, "k": rng.randrange(60), "v": i}) + "\n")
    config = config_of("20s", "30s")
    config["sources"]["s"]["idle_timeout"] = "1h"
    file = tmp_path / "all.ndjson"
    file.write_text("".join(lines))
    wanted = {r["id"]: core(r) for r in replay(tmp_path, config, [file], "--keep-open").records}
    server = make_server(config)
    for i in range(0, len(lines), 500):
        server.accept("s", "".join(lines[i : i + 500]))
        if i in (1500, 3000, 4500):
            # Some results, so that there is something to recover; how far it has come is up to chance.
            weir.eventually(lambda: server.results("p"), what="results")
            server.kill()
            server.start()

    def stored():
        return {r["id"]: core(r) for r in server.results("p") if "merged_into" not in r}

    weir.eventually(lambda: stored() == wanted, what="the results of a replay")
