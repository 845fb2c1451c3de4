"""Bad events are counted, kept with their bytes, and never stop the pipe; good ones that look odd pass."""

import json

import pytest
from oracle import weir
from oracle.bad_input import ABSENT, BAD, CASES, GOOD, LINE, REASONS, TIME_MS

AROUND = 25  # usual lines before and after: enough to have their shape remembered
REPEATS = 3


def config_of(source):
    return {
        "sources": {"s": {**source, "time": "ts", "idle_timeout": "1h"}},
        "pipelines": {"p": {"from": "s", "window": {"tumbling": "1s"}, "aggregates": {"n": "count()", "x": "last(x)"}}},
    }


def same(want, got):
    if isinstance(want, float):
        return not isinstance(got, bool) and float(got) == want
    return type(want) is type(got) and want == got if isinstance(want, (bool, str)) else want == got


def reason_of(case, by_reason, count):
    """Asserts that all `count` faults are counted under one reason that fits the case."""
    assert sum(by_reason.values()) == count, (case.name, by_reason)
    assert {r for r, n in by_reason.items() if n} <= REASONS[case.fault], (case.name, by_reason)


@pytest.fixture(scope="module")
def replay_config(tmp_path_factory):
    return weir.write_config(tmp_path_factory.mktemp("bad"), config_of({"http": {}}))


def test_table_has_at_least_60_bad_cases():
    assert len(BAD) >= 60 and len(GOOD) >= 40


@pytest.mark.parametrize("around", [0, AROUND], ids=["cold", "warm"])
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_replay_gives_the_verdict_of_the_table(tmp_path, replay_config, case, around):
    """`cold`: the line is all there is. `warm`: it comes, repeatedly, in a stream of usual lines."""
    repeats = REPEATS if around else 1
    path = tmp_path / "in.ndjson"
    path.write_bytes(b"".join(line + b"\n" for line in [LINE] * around + [case.line] * repeats + [LINE] * around))
    answer = weir.replay(replay_config, {"s": path})
    state = answer.source("s")
    weir.check_conservation(state)
    assert state["counters"]["in"] == 2 * around + repeats
    if case.fault:
        reason_of(case, state["bad_by_reason"], repeats)
        assert sum(r["values"]["n"] for r in answer.records) == 2 * around
        return
    assert state["counters"]["bad"] == 0, state
    if around == 0:
        (record,) = answer.records
        assert record["window_start"] == case.time_ms // 1000 * 1000
        assert case.x is ABSENT or same(case.x, record["values"]["x"]), (case.x, record)


def test_replay_counts_a_mixed_file_exactly(tmp_path, replay_config):
    path = tmp_path / "in.ndjson"
    path.write_bytes(b"".join(case.line + b"\n" for case in CASES))
    state = weir.replay(replay_config, {"s": path}, env={"WEIR_ENGINE__BATCH_SIZE": "7"}).source("s")
    weir.check_conservation(state)
    assert state["counters"] == {"in": len(CASES), "bad": len(BAD)}
    for fault, names in REASONS.items():
        # Classes may share a reason name; then only their sum can be told.
        classes = [f for f in REASONS if REASONS[f] & names]
        want = sum(case.fault in classes for case in BAD)
        reasons = set().union(*(REASONS[f] for f in classes))
        assert sum(n for r, n in state["bad_by_reason"].items() if r in reasons) == want, (
            fault,
            state["bad_by_reason"],
        )


def test_last_line_without_newline_is_an_event(tmp_path, replay_config):
    path = tmp_path / "in.ndjson"
    path.write_bytes(LINE + b"\n" + LINE)
    assert weir.replay(replay_config, {"s": path}).source("s")["counters"] == {"in": 2, "bad": 0}


def test_blank_lines_are_no_events(tmp_path, replay_config):
    path = tmp_path / "in.ndjson"
    path.write_bytes(b"\n" + LINE + b"\n\n\r\n" + LINE + b"\n\n")
    assert weir.replay(replay_config, {"s": path}).source("s")["counters"] == {"in": 2, "bad": 0}


def http_fault(case):
    return case.fault or case.http_fault


@pytest.fixture(scope="module")
def fed_server(tmp_path_factory):
    """A server that got the whole table by HTTP: NDJSON requests of usual lines and cases in turn."""
    server = weir.Server(tmp_path_factory.mktemp("server"), config_of({"http": {}}))
    with server:
        answers = []
        for case in CASES:
            answer = server.post("s", b"\n".join([LINE, case.line, LINE]) + b"\n")
            answers.append(answer)
        server.wait_counted("s", "p", 3 * len(CASES))
        server.answers = dict(zip([case.name for case in CASES], answers, strict=True))
        yield server


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_http_rejects_exactly_the_bad_line(fed_server, case):
    answer = fed_server.answers[case.name]
    assert answer.status == 202, answer
    value = answer.json()
    if http_fault(case) is None:
        assert (value["accepted"], value["rejected"], value["errors"]) == (3, 0, []), value
        return
    assert (value["accepted"], value["rejected"]) == (2, 1), value
    (error,) = value["errors"]
    assert error["index"] == 1 and error["reason"] in REASONS[http_fault(case)], error


def test_dead_letters_carry_the_original_bytes(fed_server):
    bad = [case for case in CASES if http_fault(case)]
    letters = sorted(
        weir.eventually(
            lambda: (lambda found: found if len(found) >= len(bad) else None)(fed_server.dead_letters()),
            20,
            "all dead letters",
        ),
        key=lambda letter: letter["offset"],
    )
    assert len(letters) == len(bad)
    for case, letter in zip(bad, letters, strict=True):
        assert letter["raw"] == case.line, f"{case.name}: {letter['raw'][:80]!r}"
        assert letter["reason"] in REASONS[http_fault(case)], (case.name, letter["reason"])
        assert letter["source"] == "s" and letter["partition"] == 0
        assert letter["detail"] and isinstance(letter["time"], (int, str)), letter


def test_http_counters_are_exact_and_the_pipe_went_on(fed_server):
    state = fed_server.source("s")
    weir.check_conservation(state)
    bad = sum(http_fault(case) is not None for case in CASES)
    assert state["counters"] == {"in": 3 * len(CASES), "bad": bad}
    verdicts = state["pipelines"]["p"]
    assert verdicts["used"] + verdicts["too_late"] == 3 * len(CASES) - bad  # some cases are of another year
    assert fed_server.get("/health").status == 200


def test_array_element_is_rejected_alone_with_its_own_bytes(make_server):
    server = make_server(config_of({"http": {}}))
    bad = b'{"ts":"soon" , "x":\n [1, 2]}'
    answer = server.post("s", b"[" + LINE + b" , " + bad + b",\n" + LINE + b", 5, {}]", "application/json")
    assert answer.status == 202, answer
    value = answer.json()
    assert (value["accepted"], value["rejected"]) == (2, 3)
    assert [e["index"] for e in value["errors"]] == [1, 3, 4], value
    letters = weir.eventually(lambda: (lambda f: f if len(f) == 3 else None)(server.dead_letters()), 10, "dead letters")
    assert sorted(letter["raw"] for letter in letters) == sorted([bad, b"5", b"{}"])


def test_on_bad_skip_counts_without_a_dead_letter(make_server):
    config = config_of({"http": {}})
    config["sources"]["s"]["on_bad"] = "skip"
    server = make_server(config)
    server.post("s", b"nonsense\n" + LINE)
    state = server.wait_counted("s", "p", 2)
    assert state["counters"] == {"in": 2, "bad": 1}
    assert server.dead_letters() == []


def test_future_event_is_bad_and_does_not_move_the_watermark(make_server):
    config = config_of({"http": {}})
    config["sources"]["s"]["max_future_skew"] = "5m"
    server = make_server(config)
    answer = server.post("s", LINE + b"\n" + json.dumps({"ts": "2999-01-01T00:00:00Z", "x": 1}).encode())
    (error,) = answer.json()["errors"]
    assert error["reason"] in REASONS["future"]
    state = server.wait_counted("s", "p", 2)
    (partition,) = state["partitions"]
    assert partition["watermark"] == TIME_MS - 5_000, partition
    assert state["bad_by_reason"].get(error["reason"]) == 1


def test_file_has_no_future_guard(tmp_path, replay_config):
    path = tmp_path / "in.ndjson"
    path.write_text('{"ts":"2999-01-01T00:00:00Z","x":1}\n')
    assert weir.replay(replay_config, {"s": path}).source("s")["counters"] == {"in": 1, "bad": 0}
