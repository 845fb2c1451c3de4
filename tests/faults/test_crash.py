"""kill -9 under load: what was accepted is in the results exactly once, wherever the process died."""

import random

import pytest
from oracle import load, weir

KILLS = 20
CRASH_POINTS = [
    "log_before_commit",
    "log_after_commit",
    "reply_before_send",
    "store_before_commit",
    "store_after_rows",
    "store_after_commit",
]


@pytest.mark.parametrize(
    "source", [{}, {"partitions": 3, "partition_by": "request"}], ids=["one_partition", "three_partitions"]
)
def test_every_accepted_event_is_counted_once_after_kills_at_random(make_server, seed, source):
    rng = random.Random(seed)
    server = make_server(load.config(**source))
    traffic = load.Load(server, seed)
    try:
        for _ in range(KILLS // 2):
            before = traffic.count()
            weir.eventually(lambda: traffic.count() > before + rng.randint(1, 60), 30, "accepted requests")  # noqa: B023
            server.kill()
            server.start()
    finally:
        traffic.stop()
    traffic.flush()
    print(f"{traffic.check()} requests checked, {len(traffic.unknown)} without an answer")


@pytest.mark.parametrize("point", CRASH_POINTS)
@pytest.mark.parametrize("nth", [1, 7])
def test_a_crash_at_each_point_of_the_commit_path_loses_and_doubles_nothing(make_server, seed, point, nth):
    server = make_server(load.config(), start=False)
    server.start(wait=False, env={"WEIR_CRASH_AT": f"{point}:{nth}"})
    traffic = load.Load(server, seed)
    try:
        assert server.wait_exit(30) != 0, f"the process passed {point} without dying"
        server.start()
        before = traffic.count()
        weir.eventually(lambda: traffic.count() > before + 20, 30, "accepted requests after the crash")
    finally:
        traffic.stop()
    traffic.flush()
    traffic.check()


def test_sigterm_under_load_drains_and_exits_0_and_nothing_is_missing_after_the_next_start(make_server, seed):
    server = make_server(load.config())
    traffic = load.Load(server, seed)
    try:
        for _ in range(3):
            before = traffic.count()
            weir.eventually(lambda: traffic.count() > before + 30, 30, "accepted requests")  # noqa: B023
            assert server.terminate(10) == 0
            server.start()
    finally:
        traffic.stop()
    traffic.flush()
    traffic.check()


@pytest.mark.parametrize(
    "split", [{}, {"partitions": 4, "partition_by": "k"}], ids=["one_partition", "four_partitions"]
)
def test_a_file_is_counted_once_after_kills_at_random(make_server, seed, tmp_path, split):
    """Each life has another number of shards, so that partitions of one file go on at different lines."""
    rng = random.Random(seed)
    lines = 60_000
    path = tmp_path / "events.ndjson"
    path.write_text("".join(f'{{"ts":{load.T0 + i * 5},"k":{i % 7},"i":{i}}}\n' for i in range(lines)))
    server = make_server(
        {
            "sources": {
                "s": {
                    "file": {"path": str(path), "rate": "40000/s", **split},
                    "time": "ts",
                    "max_out_of_orderness": "1s",
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
    )
    for _ in range(5):
        seen = server.source("s")["counters"]["in"]
        weir.eventually(lambda: server.source("s")["counters"]["in"] > seen + rng.randint(1, 5000), 20, "lines")  # noqa: B023
        server.kill()
        server.start(env={"WEIR_ENGINE__SHARDS": str(rng.randint(1, 4))})

    def finished():
        rows = server.results("p", limit=10_000)
        return rows if sum(r["values"]["n"] for r in rows) >= lines else None

    rows = weir.eventually(finished, 30, "all lines counted")
    assert sum(r["values"]["n"] for r in rows) == lines
    assert sum(r["values"]["sum"] for r in rows) == lines * (lines - 1) // 2
