"""Random streams through random pipelines: weir must say exactly what the model says."""

import os
import random
import time

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from oracle import model, weir
from oracle.random_cases import random_pipeline, random_stream

LONG = bool(os.environ.get("WEIR_TEST_LONG") or os.environ.get("WEIR_LONG"))
EXAMPLES = 2000 if LONG else 40
PIPELINES_PER_EXAMPLE = 6

profile = settings(
    max_examples=EXAMPLES,
    deadline=None,
    print_blob=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
    phases=[Phase.explicit, Phase.reuse, Phase.generate, Phase.shrink],
)


class Case:
    """One config with several pipelines over one random stream, and what the model makes of it."""

    def __init__(self, directory, seed, partition_count, event_count, max_out_of_orderness_s):
        rng = random.Random(seed)
        lines, rows, bad = random_stream(rng, partition_count, event_count)
        self.files = []
        for i, content in enumerate(lines):
            self.files.append(directory / f"part{i}.ndjson")
            self.files[-1].write_text("".join(line + "\n" for line in content), encoding="utf-8")
        self.event_count = sum(map(len, lines))
        self.results, configs = {}, {}
        for i in range(PIPELINES_PER_EXAMPLE):
            name = f"p{i}"
            configs[name], pipeline = random_pipeline(rng, name, "s", partition_count == 1)
            self.results[name] = model.Result(pipeline, rows, bad, max_out_of_orderness_s * 1_000_000)
        self.config = weir.write_config(
            directory,
            {
                "sources": {"s": {"http": {}, "time": "ts", "max_out_of_orderness": f"{max_out_of_orderness_s}s"}},
                "pipelines": configs,
            },
        )

    def replay(self, *options, shards=1, batch_size=None):
        env = {"WEIR_ENGINE__SHARDS": str(shards)}
        if batch_size is not None:
            env["WEIR_ENGINE__BATCH_SIZE"] = str(batch_size)
        return weir.replay(self.config, {"s": self.files}, *options, env=env)

    def wanted(self, **options):
        merged = {}
        for result in self.results.values():
            merged.update(result.records(**options))
        return merged


def check_counters(case, answer):
    state = answer.source("s")
    weir.check_conservation(state)
    assert state["counters"]["in"] == case.event_count
    for name, result in case.results.items():
        assert state["counters"]["bad"] == result.bad
        assert {k: state["pipelines"][name][k] for k in result.counters} == dict(result.counters), name


def check_revisions(case, records):
    """Each group: first what was on time, then updates with more and more of the late events."""
    emissions = {}
    for record in records:
        emissions.setdefault(record["id"], []).append(record)
    assert set(emissions) == set(case.wanted())
    for result in case.results.values():
        for group in result.groups.values():
            final = result.record(group, [])
            chain = emissions[final["id"]]
            if group.on_time:
                # An end_of_input final may come with its watermark; `compare` has checked the last states.
                wrong = model.difference(final, chain[0])
                assert wrong is None, f"{final['id']}: {wrong}\nwant {final}\ngot  {chain[0]}"
                chain = chain[1:]
            elif result.pipeline.emit_empty and chain[0]["emit"] == "final":
                assert chain[0]["receipt"]["on_time"] == 0
                chain = chain[1:]
            check_updates(result, group, chain)


def check_updates(result, group, chain):
    revisions = [r["revision"] for r in chain]
    assert revisions == sorted(set(revisions)), revisions
    assert (revisions[-1] if revisions else 0) == len(group.late)
    late_of_one_partition = len({row.partition for row in group.late}) == 1
    for record in chain:
        assert record["emit"] == "update" and record["receipt"]["late_accepted"] == record["revision"], record
        if late_of_one_partition:
            # Only then the order in which late events were taken is known.
            wrong = model.difference(result.record(group, group.late[: record["revision"]]), record)
            assert wrong is None, f"{record['id']}: {wrong}"


@profile
@given(
    seed=st.integers(0, 2**32),
    partition_count=st.integers(1, 4),
    event_count=st.sampled_from((0, 1, 5, 60, 400)),
    max_out_of_orderness_s=st.sampled_from((0, 1, 5, 60)),
    shards=st.sampled_from((2, 3, 4)),
    batch_size=st.sampled_from((1, 2, 7, 64, 1000)),
)
def test_replay_gives_what_the_model_gives(
    tmp_path_factory, seed, partition_count, event_count, max_out_of_orderness_s, shards, batch_size
):
    case = Case(tmp_path_factory.mktemp("case"), seed, partition_count, event_count, max_out_of_orderness_s)
    plain = case.replay()
    model.compare(case.wanted(), plain.records)
    check_counters(case, plain)
    assert [r["pipeline"] for r in plain.records] == sorted(r["pipeline"] for r in plain.records)
    order = model.replay_order(plain.records)
    assert order == sorted(order), "not ordered by pipeline and window start"

    other = case.replay(shards=shards, batch_size=batch_size)
    assert other.text == plain.text, f"{shards} shards and batches of {batch_size} give other bytes"
    check_counters(case, other)

    open_windows_left = case.replay("--keep-open", shards=shards)
    model.compare(case.wanted(keep_open=True), open_windows_left.records)
    check_counters(case, open_windows_left)

    revisions = case.replay("--revisions", shards=1, batch_size=batch_size)
    check_revisions(case, revisions.records)
    assert case.replay("--revisions", shards=shards).source("s") == revisions.source("s")


def begins_an_array(line):
    """As the first line of a body it would say that the body is an array; elsewhere it is a bad line."""
    return line.lstrip().startswith("[")


@pytest.mark.parametrize("partition_count", [1, 3])
def test_random_streams_over_http_give_what_the_model_gives(make_server, seed, partition_count):
    """The same through a running server: durable log, arrival times, results by HTTP.

    Each source has one partition in the order of durable append; several sources at once stand
    for several partitions of the process. A last event far ahead of the others (but within
    `max_future_skew` of its arrival) closes every window before it."""
    rng = random.Random(seed)
    base_ms = int(time.time() * 1000) // 1000 * 1000 - 6 * 3_600_000
    end_ms = base_ms + 6 * 3_600_000
    sources, pipelines, streams, results = {}, {}, {}, {}
    for s in range(partition_count * 3):
        source = f"s{s}"
        sources[source] = {"http": {}, "time": "ts", "max_out_of_orderness": "5s", "idle_timeout": "1h"}
        lines, rows, bad = random_stream(rng, 1, 400, base_ms)
        while lines[0] and begins_an_array(lines[0][0]):
            lines, rows, bad = random_stream(rng, 1, 400, base_ms)
        streams[source] = lines[0]
        last = model.Row(end_ms * 1000, 0, len(lines[0]), {"ts": end_ms})
        for p in range(3):
            name = f"p{s}_{p}"
            pipelines[name], pipeline = random_pipeline(rng, name, source)
            results[name] = (source, model.Result(pipeline, [rows[0] + [last]], bad, 5_000_000))
    server = make_server({"sources": sources, "pipelines": pipelines})
    for source, lines in streams.items():
        at = 0
        while at < len(lines):
            step = rng.randrange(1, 120)
            while at + step < len(lines) and begins_an_array(lines[at + step]):
                step += 1
            answer = server.post(source, "\n".join(lines[at : at + step]))
            assert answer.status == 202, answer
            at += step
        server.accept(source, [{"ts": end_ms}])
    for name, (source, result) in results.items():
        state = server.wait_counted(source, name, len(streams[source]) + 1)
        assert {k: state["pipelines"][name][k] for k in result.counters} == dict(result.counters), name
        want = result.records(keep_open=True)
        # The counters run ahead of the store: poll until every record is there in its last revision.
        assert not any(r["optional"] for r in want.values())
        revisions = {i: r["revision"] for i, r in want.items()}
        weir.eventually(
            lambda n=name, r=revisions: {i["id"]: i["revision"] for i in server.results(n)} == r,
            20,
            f"all results of {name}",
        )
        model.compare(want, server.results(name))
    dead = server.dead_letters()
    late = sum(len(result.dead) for _, result in results.values())
    assert sum(letter["reason"] == "too_late" for letter in dead) == late
