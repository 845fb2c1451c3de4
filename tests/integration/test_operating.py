"""The commands for those who run it: top, topics plan, and what becomes of dead letters."""

import copy
import json
import os
import pty
import select
import signal
import subprocess
import time

import pytest
from oracle import weir

T0 = 1_700_000_000_000
CONFIG = {
    "sources": {
        "clicks": {"http": {"partitions": 3, "partition_by": "user"}, "time": "ts"},
        "other": {"http": {}, "time": "ts"},
    },
    "pipelines": {"p": {"from": "clicks", "key": ["k"], "window": {"tumbling": "10s"}, "aggregates": {"n": "count()"}}},
}
# One bad event of each kind, in one body per shape.
BAD_LINES = b'{"k":1}\noops\n[1,2]\n  {"k":2}\n{"k":"\xff"}\n'
BAD_ARRAY = b'[{"k":\n3}, nope, [4]]'
BAD = [b'{"k":1}', b"oops", b"[1,2]", b'  {"k":2}', b'{"k":"\xff"}', b'{"k":\n3}', b"nope", b"[4]"]


# topics plan -------------------------------------------------------------------------------------


def test_plan_shows_the_formula_with_its_numbers():
    answer = weir.run("topics", "plan", "--mb-per-second", "50", "--consumers", "12")
    assert answer.returncode == 0 and answer.stderr == ""
    assert "ceil(50 MB/s / 10 MB/s per partition) = 5" in answer.stdout
    assert "max(5, 12) rounded up to a power of two = 16" in answer.stdout


@pytest.mark.parametrize("size", ["250", "250B"])
def test_plan_of_events_is_that_of_their_bytes(size):
    options = ["--events-per-second", "400000", "--event-size", size, "--format", "json"]
    assert json.loads(weir.run("topics", "plan", *options).stdout) == {
        "mb_per_second": 100,
        "mb_per_partition": 10,
        "consumers": 1,
        "by_throughput": 10,
        "partitions": 16,
    }


# top ---------------------------------------------------------------------------------------------


@pytest.fixture
def server(make_server):
    server = make_server(CONFIG)
    server.accept("clicks", [{"ts": T0 + i, "k": i % 3, "user": i} for i in range(50)])
    server.wait_counted("clicks", "p", 50)
    return server


def url(server):
    return f"http://127.0.0.1:{server.port}"


@pytest.mark.parametrize("options", [[], ["--once"]])
def test_top_without_a_terminal_prints_one_plain_snapshot(server, options):
    answer = weir.run("top", "--url", url(server), *options)
    assert answer.returncode == 0 and answer.stderr == "" and "\x1b" not in answer.stdout
    lines = [line.split() for line in answer.stdout.splitlines()]
    (row,) = [line for line in lines if line[:1] == ["clicks"]]
    assert row[-3:] == ["50", "0", "running"]
    assert any(line[:1] == ["p"] for line in lines) and any("memory" in line for line in lines)


def test_top_as_json_is_what_the_server_says(server):
    value = json.loads(weir.run("top", "--url", url(server), "--format", "json").stdout)
    assert value["stats"]["sources"]["clicks"]["in"] == 50
    assert value["health"]["status"] == "ok" and value["url"] == url(server)


def test_top_once_without_a_server_fails_and_says_what_to_do():
    answer = weir.run("top", "--once", "--url", f"127.0.0.1:{weir.free_port()}")
    assert answer.returncode == 1 and answer.stdout == ""
    assert "is weir running there" in answer.stderr


class Terminal:
    """A command on a terminal of its own."""

    def __init__(self, *arguments, **env):
        self.pid, self.descriptor = pty.fork()
        if self.pid == 0:
            environment = {**weir.clean_environment(), "TERM": "xterm", **env}
            os.execve(weir.BINARY, [str(weir.BINARY), *map(str, arguments)], environment)
        self.text = ""

    def read_until(self, wanted, timeout_s=15):
        deadline = time.monotonic() + timeout_s * weir.PATIENCE
        while wanted not in self.text:
            assert time.monotonic() < deadline, f"{wanted!r} not in {self.text[-2000:]!r}"
            if select.select([self.descriptor], [], [], 0.1)[0]:
                try:
                    self.text += os.read(self.descriptor, 65536).decode("utf-8", "replace")
                except OSError:  # the other end is closed
                    assert wanted in self.text, self.text[-2000:]

    def leave(self, how):
        how()
        self.read_until("\x1b[?1049l")
        _, status = os.waitpid(self.pid, 0)
        os.close(self.descriptor)
        return os.waitstatus_to_exitcode(status)

    def send(self, keys):
        os.write(self.descriptor, keys)


@pytest.mark.parametrize("way", ["q", "ctrl-c", "SIGTERM"])
def test_top_on_a_terminal_leaves_it_as_it_was(server, way):
    terminal = Terminal("top", "--url", url(server))
    terminal.read_until("clicks")
    assert terminal.text.startswith("\x1b[?1049h")
    ways = {
        "q": lambda: terminal.send(b"q"),
        "ctrl-c": lambda: terminal.send(b"\x03"),
        "SIGTERM": lambda: os.kill(terminal.pid, signal.SIGTERM),
    }
    assert terminal.leave(ways[way]) == 0
    assert "\x1b[?25h" in terminal.text  # the cursor


def test_top_says_that_the_server_is_away_and_goes_on_when_it_is_back(server):
    terminal = Terminal("top", "--url", url(server))
    terminal.read_until("clicks")
    server.kill()
    terminal.read_until("cannot connect to")
    terminal.text = ""
    server.start()
    terminal.read_until("  ok")
    assert terminal.leave(lambda: terminal.send(b"q")) == 0


# Dead letters ------------------------------------------------------------------------------------


@pytest.fixture
def letters(make_server):
    """A server with the dead letters of BAD."""
    server = make_server(copy.deepcopy(CONFIG))
    assert server.post("clicks", BAD_LINES).json()["rejected"] == 5
    assert server.post("clicks", BAD_ARRAY).json()["rejected"] == 3
    wait_letters(server, BAD)
    return server


def wait_letters(server, wanted):
    def stored():
        found = sorted(letter["raw"] for letter in server.dead_letters(source="clicks"))
        return found if len(found) >= len(wanted) else None

    assert weir.eventually(stored, what=f"{len(wanted)} dead letters") == sorted(wanted)


def redrive(server, *options):
    answer = weir.run("redrive", server.config_path, "--format", "json", *options)
    assert answer.returncode == 0, answer.stderr
    return json.loads(answer.stdout)["sources"]["clicks"]


def test_dry_run_sends_nothing(letters):
    assert redrive(letters, "--dry-run")["sent"] == len(BAD)
    assert letters.source("clicks")["counters"]["in"] == len(BAD)
    assert not (letters.data_dir / "redrive.db").exists()


def test_letters_go_back_with_their_bytes_once_each(letters):
    assert redrive(letters) == {
        "found": len(BAD),
        "sent_before": 0,
        "sent": len(BAD),
        "rejected": len(BAD),
        "unsendable": 0,
    }
    # Nothing was mended, so they come back as new letters with the same bytes ...
    wait_letters(letters, BAD + BAD)
    # ... which are known to be the same.
    again = redrive(letters)
    assert (again["sent"], again["sent_before"]) == (0, 2 * len(BAD))
    assert letters.source("clicks")["counters"]["in"] == 2 * len(BAD)
    assert redrive(letters, "--again")["sent"] == len(BAD)


def test_redrive_goes_on_where_its_limit_was(letters):
    assert [redrive(letters, "--limit", 3)["sent"] for _ in range(4)] == [3, 3, 2, 0]


def test_redrive_takes_the_reason_that_is_named(letters):
    assert redrive(letters, "--reason", "no_time")["sent"] == 3
    assert redrive(letters, "--reason", "no_time")["sent"] == 0
    assert redrive(letters)["sent"] == len(BAD) - 3


def test_letters_are_good_events_once_the_config_is_mended(letters):
    letters.terminate()
    letters.config["sources"]["clicks"]["time"] = "k"
    weir.write_config(letters.directory, letters.config)
    letters.start()
    sent = redrive(letters, "--reason", "no_time")
    assert (sent["sent"], sent["rejected"]) == (3, 0)
    state = letters.wait_counted("clicks", "p", 3)
    assert state["pipelines"]["p"]["used"] == 3


def test_redrive_without_a_server_fails_and_notes_nothing(letters):
    letters.terminate()
    answer = weir.run("redrive", letters.config_path)
    assert answer.returncode == 1 and "is weir running there" in answer.stderr
    letters.start()
    assert redrive(letters)["sent"] == len(BAD)


def test_redrive_refuses_what_it_cannot_send_to(tmp_path):
    config = {
        "data_dir": str(tmp_path / "none"),
        "sources": {"f": {"file": {"path": "x"}, "time": "ts"}, "h": {"http": {}, "time": "ts"}},
        "pipelines": {"p": {"from": ["f", "h"], "window": {"tumbling": "10s"}, "aggregates": {"n": "count()"}}},
    }
    path = weir.write_config(tmp_path, config)
    for source, word in (("f", "neither http nor kafka"), ("nosuch", "nosuch")):
        answer = weir.run("redrive", path, "--source", source)
        assert answer.returncode == 2 and word in answer.stderr
    answer = weir.run("redrive", path, "--source", "h")
    assert answer.returncode == 1 and str(tmp_path / "none") in answer.stderr


def test_replay_of_dead_letters_shows_what_would_become_of_them(letters):
    config = letters.config_path
    options = ["--dead-letters", "--format", "json"]
    as_they_are = weir.Replay(weir.run("replay", config, *options))
    assert as_they_are.source("clicks")["counters"] == {"in": len(BAD), "bad": len(BAD)}
    assert as_they_are.records == []
    mended = weir.Replay(weir.run("replay", config, *options, "--set", "sources.clicks.time=k", "--reason", "no_time"))
    assert mended.source("clicks")["counters"] == {"in": 3, "bad": 0}
    assert {record["key"]["k"]: record["values"]["n"] for record in mended.records} == {1: 1, 2: 1, 3: 1}
    # The server and its store know nothing of it.
    wait_letters(letters, BAD)


def test_replay_of_dead_letters_has_times_of_records(make_server):
    """A source without `time` has the times of arrival, and so have its letters."""
    config = copy.deepcopy(CONFIG)
    del config["sources"]["clicks"]["time"]
    server = make_server(config)
    server.post("clicks", b"oops\n")
    wait_letters(server, [b"oops"])
    arrived = server.dead_letters()[0]["time"]
    # As text it would be an event; what it is here is a record with a time, which the guard against the future needs.
    answer = weir.Replay(weir.run("replay", server.config_path, "--dead-letters", "--format", "json"))
    assert answer.source("clicks")["bad_by_reason"] == {"not_json": 1}
    assert abs(arrived - time.time() * 1000) < 60_000 * weir.PATIENCE


@pytest.mark.parametrize(
    "options, code, named",
    [
        (["--source", "nosuch"], 2, "nosuch"),
        (["--reason", "nosuch"], 1, "no such dead letters"),
        (["--set", "data_dir=/nonexistent"], 1, "/nonexistent"),
    ],
)
def test_replay_of_dead_letters_that_are_not_there(letters, options, code, named):
    answer = weir.run("replay", letters.config_path, "--dead-letters", *options)
    assert answer.returncode == code and named in answer.stderr and answer.stdout == ""


def test_two_redrives_do_not_send_the_same(letters):
    """The second finds the first at work, or its work done."""
    runs = [
        subprocess.Popen(
            [weir.BINARY, "redrive", letters.config_path, "--format", "json"],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=weir.clean_environment(),
            text=True,
        )
        for _ in range(2)
    ]
    sent = 0
    for run in runs:
        out, err = run.communicate(timeout=60 * weir.PATIENCE)
        if run.returncode:
            assert "another weir redrive is at work" in err, err
        sent += json.loads(out)["sources"]["clicks"]["sent"]
    assert sent == len(BAD)
