"""What only a running server can show: idleness, wall-clock closes, early results, restarts."""

import json
import time

import pytest
from oracle import weir
from oracle.websocket import Client

T0 = 1_700_000_000_000


def config_of(pipeline=None, **source):
    return {
        "sources": {"s": {"http": {}, "time": "ts", "max_out_of_orderness": "0s", "idle_timeout": "1h", **source}},
        "pipelines": {
            "p": {"from": "s", "window": {"tumbling": "10s"}, "aggregates": {"n": "count()"}, **(pipeline or {})}
        },
    }


def at(*seconds, **fields):
    return [{"ts": T0 + int(s * 1000), **fields} for s in seconds]


def windows(server, pipeline="p"):
    return {(r["window_start"] - T0) // 1000: r for r in server.results(pipeline)}


def wait_window(server, second, accept=lambda record: True, timeout_s=15):
    """The record of the window that starts at this second, once it is as wanted."""

    def found():
        record = windows(server).get(second)
        return record if record is not None and accept(record) else None

    return weir.eventually(found, timeout_s, f"window {second}")


def test_window_closes_by_watermark_and_late_event_updates_it(make_server):
    server = make_server(config_of())
    server.accept("s", at(0, 1, 12))
    record = wait_window(server, 0)
    assert (record["emit"], record["values"]["n"], record["receipt"]["closed_by"]) == ("final", 2, "watermark")
    server.accept("s", at(3))
    record = wait_window(server, 0, lambda r: r["revision"] == 1)
    assert (record["emit"], record["values"]["n"]) == ("update", 3)
    assert set(windows(server)) == {0}, "an open window without `emit` shows nothing"


def test_last_window_closes_without_a_new_event_when_idle(make_server):
    """All idle: event time goes on with the wall clock, so the last window closes by itself."""
    server = make_server(config_of({"window": {"tumbling": "1s"}}, idle_timeout="500ms"))
    server.accept("s", at(0, 0.5))
    record = wait_window(server, 0)
    assert record["values"]["n"] == 2 and record["receipt"]["closed_by"] == "idle"


def test_window_does_not_close_before_event_time_on_the_wall_clock_has_reached_its_end(make_server):
    """Idle is no licence to close at once: a window of an hour stays open."""
    server = make_server(config_of({"window": {"tumbling": "1h"}}, idle_timeout="200ms"))
    server.accept("s", at(0))
    weir.eventually(lambda: server.source("s")["partitions"][0]["idle"], 10, "partition to be idle")
    assert server.results("p") == []


def test_event_after_an_idle_close_is_judged_by_its_partition(make_server):
    """The partition's own watermark had not reached the end, so the event is on time for it; the
    window is still held: the record is emitted again with one event more."""
    server = make_server(config_of({"window": {"tumbling": "1s"}, "allowed_lateness": "10m"}, idle_timeout="300ms"))
    server.accept("s", at(0))
    wait_window(server, 0)
    server.accept("s", at(0.5))
    record = wait_window(server, 0, lambda r: r["values"]["n"] == 2)
    assert record["emit"] == "update" and record["receipt"]["on_time"] == 2


def test_idle_partition_does_not_hold_back_the_others(make_server):
    config = config_of({"from": ["s", "quiet"]}, idle_timeout="1h")
    config["sources"]["quiet"] = {**config["sources"]["s"], "idle_timeout": "500ms"}
    server = make_server(config)
    server.accept("quiet", at(1))
    server.accept("s", at(0, 15))
    record = wait_window(server, 0)
    assert record["values"]["n"] == 2
    assert server.source("quiet")["partitions"][0]["idle"] is True


def test_close_after_closes_by_the_wall_clock(make_server):
    server = make_server(config_of({"close_after": "500ms"}))
    server.accept("s", at(0, 5))
    record = wait_window(server, 0)
    assert record["values"]["n"] == 2 and record["receipt"]["closed_by"] == "wall_clock"


def test_emit_every_shows_early_results_of_changed_keys(make_server):
    server = make_server(config_of({"key": ["k"], "emit": {"every": "100ms"}, "to": ["store", "live"]}))
    with Client(server) as client:
        subscription = client.subscribe("aggregations", filters={"pipeline": "p"})["subscription_id"]
        server.accept("s", at(0, 1, k="a"))
        (first,) = client.deliveries(subscription, 1)
        record = first["data"]["result"]
        assert (record["emit"], record["values"]["n"], record["key"]) == ("early", 2, {"k": "a"})
        server.accept("s", at(2, k="b"))
        (second,) = client.deliveries(subscription, 1)
        record = second["data"]["result"]
        assert (record["emit"], record["key"]) == ("early", {"k": "b"}), "only keys that changed"
        server.accept("s", at(20, k="c"))
        finals = {}
        while len(finals) < 2:
            record = client.deliveries(subscription, 1)[0]["data"]["result"]
            if record["emit"] == "final":
                finals[record["key"]["k"]] = record["values"]["n"]
        assert finals == {"a": 2, "b": 1}


def test_default_event_time_of_http_is_the_arrival(make_server):
    config = config_of({"emit": {"every": "100ms"}})
    del config["sources"]["s"]["time"]
    server = make_server(config)
    before_ms = int(time.time() * 1000)
    server.accept("s", [{"x": 1}])
    (record,) = weir.eventually(lambda: server.results("p"), 10, "early result")
    assert before_ms - 10_000 <= record["window_start"] <= int(time.time() * 1000)


@pytest.mark.parametrize("end", ["terminate", "kill"])
def test_open_and_held_windows_survive_a_restart(make_server, end):
    server = make_server(config_of())
    server.accept("s", at(0, 1, 12))
    wait_window(server, 0)
    if end == "terminate":
        assert server.terminate() == 0
    else:
        server.kill()
    server.start()
    server.accept("s", at(13, 2, 25))
    held = wait_window(server, 0, lambda r: r["revision"] == 1)
    assert held["values"]["n"] == 3 and held["receipt"]["on_time"] == 2
    opened = wait_window(server, 10, lambda r: r["values"]["n"] == 2)
    assert opened["receipt"]["closed_by"] == "watermark"
    state = server.source("s")
    weir.check_conservation(state)


def test_counters_of_a_source_survive_a_restart_of_its_log_position(make_server):
    """Offsets go on; none is given twice."""
    server = make_server(config_of())
    server.accept("s", at(0, 1, 2))
    server.wait_counted("s", "p", 3)
    offset = server.source("s")["partitions"][0]["offset"]
    server.kill()
    server.start()
    server.accept("s", at(3))
    weir.eventually(lambda: server.source("s")["partitions"][0]["offset"] == offset + 1, 10, "the next offset")


def test_file_source_that_ended_closes_its_windows(make_server, tmp_path):
    path = tmp_path / "in.ndjson"
    path.write_text("".join(json.dumps(e) + "\n" for e in at(0, 1, 11)))
    config = config_of()
    config["sources"]["s"] = {"file": {"path": str(path)}, "time": "ts"}
    server = make_server(config)
    record = wait_window(server, 10)
    assert record["receipt"]["closed_by"] == "end_of_input" and record["values"]["n"] == 1


def test_file_source_that_is_read_again_after_a_restart_gives_the_same_results_once(make_server, tmp_path):
    path = tmp_path / "in.ndjson"
    path.write_text("".join(json.dumps(e) + "\n" for e in at(0, 1, 11)))
    config = config_of()
    config["sources"]["s"] = {"file": {"path": str(path)}, "time": "ts"}
    server = make_server(config)
    wait_window(server, 10)
    server.kill()
    server.start()
    assert {s: r["values"]["n"] for s, r in windows(server).items()} == {0: 2, 10: 1}


def test_sinks_file_and_console_get_the_records_and_blackhole_takes_them(make_server, tmp_path):
    config = config_of({"to": ["store", "live", "trail", "nothing"]})
    config["sinks"] = {"trail": {"file": {"path": str(tmp_path / "trail.ndjson")}}, "nothing": {"blackhole": {}}}
    server = make_server(config)
    server.accept("s", at(0, 1, 12))
    stored = wait_window(server, 0)

    def written():
        path = tmp_path / "trail.ndjson"
        return weir.records_of(path.read_text()) if path.exists() else None

    assert weir.eventually(written, 10, "file sink")[0] == stored


def test_generator_source_makes_results_and_the_same_ones_for_the_same_seed(make_server):
    config = config_of({"window": {"tumbling": "1s"}}, idle_timeout="1s")
    config["sources"]["s"] = {"generator": {"seed": 7}}
    server = make_server(config)
    weir.eventually(lambda: server.results("p", limit=5), 20, "results of generated events")
    state = server.source("s")
    weir.check_conservation(state)
    assert state["counters"]["in"] > 0
