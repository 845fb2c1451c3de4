"""kill -9 in the middle of a stream: windows of every kind are what they are without it."""

import random
import time

import pytest
from oracle import model, weir
from oracle.random_cases import random_pipeline, random_stream

KILLS = 6


def begins_an_array(line):
    return line.lstrip().startswith("[")


@pytest.mark.parametrize("round_number", range(3))
def test_random_windows_over_kills_are_those_of_the_model(make_server, seed, round_number):
    """Random pipelines, more than half of them sliding, over one partition with late events. The last event closes
    all windows before it."""
    rng = random.Random(f"{seed}-{round_number}")
    base_ms = int(time.time() * 1000) // 1000 * 1000 - 6 * 3_600_000
    end_ms = base_ms + 6 * 3_600_000
    lines, rows, bad = random_stream(rng, 1, 1500, base_ms)
    lines = lines[0]
    while not lines or begins_an_array(lines[0]):
        lines, rows, bad = random_stream(rng, 1, 1500, base_ms)
        lines = lines[0]
    last = model.Row(end_ms * 1000, 0, len(lines), {"ts": end_ms})
    pipelines, results = {}, {}
    for p in range(6):
        pipelines[f"p{p}"], pipeline = random_pipeline(rng, f"p{p}", "s", True)
        results[f"p{p}"] = model.Result(pipeline, [rows[0] + [last]], bad, 5_000_000)
    source = {"http": {}, "time": "ts", "max_out_of_orderness": "5s", "idle_timeout": "1h"}
    server = make_server({"sources": {"s": source}, "pipelines": pipelines})
    kill_at = {rng.randrange(len(lines)) for _ in range(KILLS)}
    at = 0
    while at < len(lines):
        step = rng.randrange(1, 80)
        while at + step < len(lines) and begins_an_array(lines[at + step]):
            step += 1
        answer = server.post("s", "\n".join(lines[at : at + step]))
        assert answer.status == 202, answer
        if kill_at & set(range(at, at + step)):
            if rng.random() < 0.5:
                # All of it has been through the windows; how much of that is stored is left to chance.
                there = min(at + step, len(lines))
                weir.eventually(lambda: server.source("s")["partitions"][0]["offset"] >= there, 20, "events read")  # noqa: B023
            server.kill()
            server.start()
        at += step
    server.accept("s", [{"ts": end_ms}])
    for name, result in results.items():
        want = result.records(keep_open=True)
        revisions = {i: (r["revision"], r["receipt"]["on_time"]) for i, r in want.items()}

        def arrived(name=name, revisions=revisions):
            got = server.results(name)
            return {r["id"]: (r["revision"], r["receipt"]["on_time"]) for r in got} == revisions

        weir.eventually(arrived, 30, f"all results of {name}: {pipelines[name]}")
        model.compare(want, server.results(name))
