"""The commands from outside: exit codes, help, formats, what goes to stdout and what to stderr."""

import gzip
import json
import os
import pathlib
import re
import socket
import stat
import subprocess
import threading

import pytest
import yaml
import zstandard
from oracle import weir

T0 = 1_700_000_000_000
COMMANDS = [
    ["run"],
    ["demo"],
    ["check"],
    ["replay"],
    ["config"],
    ["config", "show"],
    ["config", "schema"],
    ["config", "docs"],
    ["doctor"],
    ["tap"],
    ["bench"],
    ["bench", "decode"],
    ["bench", "window"],
    ["bench", "fanout"],
]
CONFIG = {
    "sources": {"s": {"http": {}, "time": "ts"}},
    "pipelines": {
        "p": {"from": "s", "key": ["k"], "window": {"tumbling": "10s"}, "aggregates": {"n": "count()"}},
        "other": {"from": "s", "window": {"tumbling": "1m"}, "aggregates": {"n": "count()"}},
    },
}
EVENTS = "".join(json.dumps({"ts": T0 + i * 1000, "k": i % 3}) + "\n" for i in range(30))


@pytest.fixture
def config(tmp_path):
    return weir.write_config(tmp_path, CONFIG)


@pytest.fixture
def events(tmp_path):
    path = tmp_path / "events.ndjson"
    path.write_text(EVENTS)
    return path


# Help and usage ----------------------------------------------------------------------------------


@pytest.mark.parametrize("command", [[], *COMMANDS], ids=lambda c: " ".join(c) or "weir")
def test_help_is_on_stdout_with_exit_0(command):
    answer = weir.run(*command, "--help")
    assert answer.returncode == 0 and answer.stderr == ""
    assert "usage" in answer.stdout.lower() and "\x1b[" not in answer.stdout
    for word in command:
        assert word in answer.stdout


def test_help_of_weir_names_every_command():
    text = weir.run("--help").stdout
    for command in ("run", "demo", "check", "replay", "config", "doctor", "tap", "bench"):
        assert re.search(rf"\b{command}\b", text), command


def test_version_is_printed():
    answer = weir.run("--version")
    assert answer.returncode == 0 and re.search(r"\d+\.\d+", answer.stdout)


@pytest.mark.parametrize(
    "arguments, named",
    [
        ([], ""),
        (["nosuch"], "nosuch"),
        (["rnu"], "run"),
        (["check", "--nosuch"], "--nosuch"),
        (["check"], "CONFIG"),
        (["replay"], "CONFIG"),
        (["config", "nosuch"], "nosuch"),
        (["tap", "--limit", "x"], "limit"),
        (["bench", "nosuch"], "nosuch"),
        (["check", "a", "b"], "b"),
        (["replay", "weir.yaml", "--input"], "--input"),
        (["replay", "weir.yaml", "--format", "xml"], "xml"),
    ],
)
def test_wrong_usage_is_exit_2_and_names_it_on_stderr(arguments, named):
    answer = weir.run(*arguments)
    assert answer.returncode == 2 and answer.stdout == "", answer
    assert named in answer.stderr and "--help" in answer.stderr


# check -------------------------------------------------------------------------------------------


def test_check_of_a_good_config_is_exit_0_and_prints_the_memory_bound(config):
    answer = weir.run("check", config)
    assert answer.returncode == 0, answer.stderr
    assert "memory" in answer.stdout.lower() and re.search(r"\d\s?[KMG]i?B", answer.stdout)


def test_check_as_json(config):
    answer = weir.run("check", config, "--format", "json")
    assert answer.returncode == 0 and isinstance(json.loads(answer.stdout), dict)


def test_check_shows_all_errors_each_at_its_place(tmp_path):
    path = weir.write_config(
        tmp_path,
        """\
sources:
  s:
    http: {}
    tiem: ts
pipelines:
  p:
    from: nosuch
    window: { tumbling: 10 parsecs }
    aggregates: { n: cuont() }
""",
    )
    answer = weir.run("check", path)
    assert answer.returncode == 78 and answer.stdout == ""
    places = re.findall(rf"^{re.escape(str(path))}:(\d+):(\d+): error: (.*)$", answer.stderr, re.M)
    assert [(int(line), int(column)) for line, column, _ in places] == [(4, 5), (7, 11), (8, 25), (9, 22)], (
        answer.stderr
    )
    for (_, _, text), word in zip(places, ("tiem", "nosuch", "parsecs", "cuont"), strict=True):
        assert word in text


def test_check_stops_at_20_errors(tmp_path):
    path = weir.write_config(tmp_path, "sources:\n  s: { http: {} }\n" + "".join(f"wrong{i}: 1\n" for i in range(50)))
    assert weir.run("check", path).stderr.count(": error: ") == 20


@pytest.mark.parametrize("command", ["check", "run", "replay"])
def test_missing_config_file_is_exit_78(command, tmp_path):
    extra = ["--input", "s=x"] if command == "replay" else []
    answer = weir.run(command, tmp_path / "nosuch.yaml", *extra)
    assert answer.returncode == 78 and "nosuch.yaml" in answer.stderr


@pytest.mark.parametrize("command", ["run", "replay"])
def test_bad_config_is_exit_78_for_every_command(command, tmp_path):
    path = weir.write_config(tmp_path, "surces: {}\n")
    extra = ["--input", "s=x"] if command == "replay" else []
    answer = weir.run(command, path, *extra)
    assert answer.returncode == 78 and f"{path}:1:1: error:" in answer.stderr


def test_error_of_the_environment_names_the_variable(config):
    answer = weir.run("check", config, env={"WEIR_ENGINE__SHARDS": "many"})
    assert answer.returncode == 78 and "WEIR_ENGINE__SHARDS" in answer.stderr and "many" in answer.stderr


def test_unknown_override_in_the_environment_is_an_error_with_a_suggestion(config):
    answer = weir.run("check", config, env={"WEIR_ENGINE__SHRADS": "2"})
    assert answer.returncode == 78 and "WEIR_ENGINE__SHRADS" in answer.stderr and "shards" in answer.stderr.lower()


# config ------------------------------------------------------------------------------------------


def test_config_show_has_values_with_their_origin(config):
    answer = weir.run("config", "show", config, env={"WEIR_ENGINE__SHARDS": "3"})
    assert answer.returncode == 0, answer.stderr
    shards = next(line for line in answer.stdout.splitlines() if "shards" in line)
    assert "3" in shards and "WEIR_ENGINE__SHARDS" in shards
    listen = next(line for line in answer.stdout.splitlines() if "listen" in line)
    assert "127.0.0.1:8765" in listen and "default" in listen
    time = next(line for line in answer.stdout.splitlines() if re.search(r"\btime\b", line) and "ts" in line)
    assert "weir.yaml" in time


def test_config_show_masks_secrets(tmp_path):
    (tmp_path / "secret.txt").write_text("hunter3-from-file\n")
    path = weir.write_config(
        tmp_path, {**CONFIG, "sinks": {"w": {"postgres": {"url": "postgresql://me:hunter2@127.0.0.1/db"}}}}
    )
    for extra in ([], ["--format", "json"]):
        answer = weir.run("config", "show", path, *extra)
        if answer.returncode == 78:
            # A build without this sink may refuse it, but not by printing the password.
            assert "hunter2" not in answer.stderr
            continue
        assert "hunter2" not in answer.stdout + answer.stderr


def test_variables_are_replaced_and_have_defaults(tmp_path):
    path = weir.write_config(
        tmp_path,
        """\
sources: { s: { http: {}, time: "${TIME_FIELD}" } }
pipelines:
  p: { from: s, window: { tumbling: "${SIZE:-30s}" }, aggregates: { n: count() } }
""",
    )
    (tmp_path / "in").write_text(json.dumps({"when": T0 + 20_000}) + "\n")
    (record,) = weir.replay(path, {"s": tmp_path / "in"}, env={"TIME_FIELD": "when"}).records
    assert record["window_end"] - record["window_start"] == 30_000
    (record,) = weir.replay(path, {"s": tmp_path / "in"}, env={"TIME_FIELD": "when", "SIZE": "1m"}).records
    assert record["window_end"] - record["window_start"] == 60_000
    answer = weir.run("check", path)
    assert answer.returncode == 78 and "TIME_FIELD" in answer.stderr and ":1:" in answer.stderr


def test_environment_overrides_the_file(tmp_path):
    path = weir.write_config(tmp_path, CONFIG)
    (tmp_path / "in").write_text(EVENTS)
    answer = weir.replay(path, {"s": tmp_path / "in"}, env={"WEIR_PIPELINES__P__WINDOW__TUMBLING": "1d"})
    assert {r["window_end"] - r["window_start"] for r in answer.of("p")} == {86_400_000}


def test_config_schema_is_a_json_schema_that_knows_the_keys():
    schema = json.loads(weir.run("config", "schema").stdout)
    assert "json-schema.org" in schema["$schema"] and schema["additionalProperties"] is False
    assert {"server", "data_dir", "engine", "sources", "pipelines", "sinks"} <= set(schema["properties"])


def test_config_docs_are_docs_config_md():
    answer = weir.run("config", "docs")
    assert answer.returncode == 0
    assert answer.stdout == (weir.ROOT / "docs" / "CONFIG.md").read_text(), "run `weir config docs > docs/CONFIG.md`"


# doctor ------------------------------------------------------------------------------------------


def test_doctor_names_what_it_looked_at(config):
    answer = weir.run("doctor", config, cwd=config.parent)
    assert answer.returncode in (0, 1)
    text = answer.stdout.lower()
    assert "sqlite" in text and ("port" in text or "8765" in text) and "data_dir" in text or "weir-data" in text


def test_doctor_finds_a_taken_port_and_says_what_to_do(make_server):
    server = make_server(CONFIG)
    answer = weir.run("doctor", server.config_path)
    assert answer.returncode == 1 and str(server.port) in answer.stdout


def test_doctor_finds_a_data_dir_it_cannot_write(tmp_path):
    blocker = tmp_path / "file"
    blocker.write_text("")
    path = weir.write_config(tmp_path, {**CONFIG, "data_dir": str(blocker / "data")})
    answer = weir.run("doctor", path)
    assert answer.returncode == 1 and str(blocker) in answer.stdout


def test_doctor_tells_why_kafka_cannot_be_reached(tmp_path):
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        broker = f"127.0.0.1:{closed.getsockname()[1]}"
        path = weir.write_config(
            tmp_path,
            {
                **CONFIG,
                "sources": {"s": {"kafka": {"brokers": [broker], "topics": ["t"]}, "time": "ts"}},
                "sinks": {"k": {"kafka": {"brokers": [broker], "topic": "o"}}},
            },
        )
        answer = weir.run("doctor", path)
    assert answer.returncode == 1
    told = [line for line in answer.stdout.splitlines() if line.startswith("FAIL")]
    assert [line.split()[1:3] for line in told] == [["source", "s:"], ["sink", "k:"]]
    assert all(broker in line and "start the broker, or correct `brokers`" in line for line in told)


def test_doctor_as_json(config):
    answer = weir.run("doctor", config, "--format", "json", cwd=config.parent)
    assert json.loads(answer.stdout)


# replay ------------------------------------------------------------------------------------------


def test_replay_reads_stdin_gzip_and_zstd_alike(config, events, tmp_path):
    (tmp_path / "e.gz").write_bytes(gzip.compress(EVENTS[:500].encode()) + gzip.compress(EVENTS[500:].encode()))
    (tmp_path / "e.zst").write_bytes(zstandard.compress(EVENTS.encode()))
    plain = weir.replay(config, {"s": events}).text
    assert plain
    for path in ("e.gz", "e.zst"):
        assert weir.replay(config, {"s": tmp_path / path}).text == plain, path
    assert weir.replay(config, {"s": "-"}, stdin=EVENTS).text == plain


@pytest.mark.parametrize(
    "name, content",
    [
        ("cut.gz", gzip.compress(EVENTS.encode())[:-10]),
        ("cut.zst", zstandard.compress(EVENTS.encode())[:-10]),
        ("no.gz", b"not gzip"),
    ],
)
def test_replay_of_a_damaged_archive_fails_and_names_it(config, tmp_path, name, content):
    (tmp_path / name).write_bytes(content)
    answer = weir.run("replay", config, "--input", f"s={tmp_path / name}")
    assert answer.returncode == 1 and name in answer.stderr


def test_replay_writes_output_to_a_file(config, events, tmp_path):
    out = tmp_path / "out.ndjson"
    answer = weir.run("replay", config, "--input", f"s={events}", "--output", out)
    assert answer.returncode == 0 and answer.stdout == ""
    assert out.read_text() == weir.replay(config, {"s": events}).text


def test_replay_of_one_pipeline_prints_that_one(config, events):
    answer = weir.replay(config, {"s": events}, "--pipeline", "other")
    assert {r["pipeline"] for r in answer.records} == {"other"}


@pytest.mark.parametrize(
    "arguments, named",
    [
        (["--input", "nosuch=x"], "nosuch"),
        (["--input", "s=/nosuch/file"], "/nosuch/file"),
        (["--pipeline", "nosuch"], "nosuch"),
        (["--input", "s"], "SOURCE=FILE"),
    ],
)
def test_replay_refuses_what_is_not_there(config, events, arguments, named):
    extra = [] if arguments[0] == "--input" else ["--input", f"s={events}"]
    answer = weir.run("replay", config, *extra, *arguments)
    assert answer.returncode in (1, 2) and named in answer.stderr and answer.stdout == ""


def test_replay_of_an_empty_file_gives_nothing_and_exit_0(config, tmp_path):
    (tmp_path / "empty").write_text("")
    answer = weir.replay(config, {"s": tmp_path / "empty"})
    assert answer.text == "" and answer.source("s")["counters"] == {"in": 0, "bad": 0}


def test_replay_touches_no_data_dir(config, events):
    before = sorted(os.listdir(config.parent))
    weir.run("replay", config, "--input", f"s={events}", cwd=config.parent)
    assert sorted(os.listdir(config.parent)) == before


def test_replay_summary_for_people_has_the_counters(config, events):
    answer = weir.run("replay", config, "--input", f"s={events}")
    assert answer.returncode == 0 and "30" in answer.stderr and "used" in answer.stderr
    assert weir.records_of(answer.stdout)


def test_replay_with_on_bad_fail_is_exit_1(tmp_path):
    config = json.loads(json.dumps(CONFIG))
    config["sources"]["s"]["on_bad"] = "fail"
    path = weir.write_config(tmp_path, config)
    (tmp_path / "in").write_text(EVENTS + "nonsense\n")
    answer = weir.run("replay", path, "--input", f"s={tmp_path / 'in'}")
    assert answer.returncode == 1 and "31" in answer.stderr or "30" in answer.stderr


def test_replay_into_a_closed_pipe_ends(config, tmp_path):
    (tmp_path / "in").write_text("".join(json.dumps({"ts": T0 + i * 1000, "k": i}) + "\n" for i in range(20_000)))
    process = subprocess.Popen(
        [weir.BINARY, "replay", config, "--input", f"s={tmp_path / 'in'}"],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env=weir.clean_environment(),
    )
    process.stdout.readline()
    process.stdout.close()
    assert process.wait(30 * weir.PATIENCE) != 0


# run, tap, logs ----------------------------------------------------------------------------------


def test_run_exits_0_on_sigterm_and_on_sigint(make_server):
    import signal

    for number in (signal.SIGTERM, signal.SIGINT):
        server = make_server(CONFIG)
        server.process.send_signal(number)
        assert server.wait_exit(10) == 0


def test_run_refuses_an_address_that_is_not_loopback_without_auth(tmp_path):
    path = weir.write_config(tmp_path, {**CONFIG, "server": {"listen": "0.0.0.0:0"}})
    answer = weir.run("run", path, cwd=tmp_path, timeout_s=15)
    assert answer.returncode == 78 and "0.0.0.0" in answer.stderr and "loopback" in answer.stderr
    assert re.search(rf"{re.escape(str(path))}:\d+:\d+: error:", answer.stderr)


def test_run_on_a_taken_port_fails_and_names_it(make_server, tmp_path):
    server = make_server(CONFIG)
    second = weir.write_config(tmp_path, {**server.config, "data_dir": str(tmp_path / "data2")}, "second.yaml")
    answer = weir.run("run", second, timeout_s=15)
    assert answer.returncode == 1 and str(server.port) in answer.stderr


def test_second_process_on_the_same_data_dir_is_refused(make_server, tmp_path):
    server = make_server(CONFIG)
    second = weir.write_config(
        tmp_path, {**server.config, "server": {"listen": f"127.0.0.1:{weir.free_port()}"}}, "second.yaml"
    )
    answer = weir.run("run", second, timeout_s=15)
    assert answer.returncode == 1 and str(server.data_dir) in answer.stderr
    assert server.get("/health").status == 200


def test_run_reads_weir_yaml_by_default(tmp_path):
    port = weir.free_port()
    weir.write_config(tmp_path, {**CONFIG, "server": {"listen": f"127.0.0.1:{port}"}})
    server = weir.Server(tmp_path / "unused" if (tmp_path / "unused").mkdir() is None else tmp_path, CONFIG)
    server.port = port
    server.process = subprocess.Popen(
        [weir.BINARY, "run"],
        cwd=tmp_path,
        stdin=subprocess.DEVNULL,
        stderr=open(server.stderr_path, "wb"),
        env=weir.clean_environment(),
    )
    try:
        server.wait_ready()
        assert (tmp_path / "weir-data").is_dir()
        assert server.terminate() == 0
    finally:
        server.close()


def test_data_dir_is_readable_by_its_owner_alone(make_server):
    server = make_server(CONFIG)
    assert stat.S_IMODE(server.data_dir.stat().st_mode) & 0o077 == 0


def test_logs_as_json_are_one_object_a_line(tmp_path):
    port = weir.free_port()
    path = weir.write_config(
        tmp_path, {**CONFIG, "server": {"listen": f"127.0.0.1:{port}"}, "data_dir": str(tmp_path / "d")}
    )
    server = weir.Server.__new__(weir.Server)
    server.directory, server.port = tmp_path, port
    with open(tmp_path / "stderr.log", "wb") as log:
        server.process = subprocess.Popen(
            [weir.BINARY, "run", path, "--log-format", "json"],
            stdout=subprocess.PIPE,
            stderr=log,
            stdin=subprocess.DEVNULL,
            env=weir.clean_environment(),
        )
    server.config_path = path
    stdout = server.process.stdout
    try:
        server.wait_ready()
        assert server.terminate() == 0
    finally:
        server.close()
    assert stdout.read() == b"", "logs belong on stderr"
    lines = server.stderr().splitlines()
    assert lines and all(isinstance(json.loads(line), dict) for line in lines)


def tap(server, *arguments, feed, limit):
    """Runs `weir tap` while events are fed, until it has printed `limit` lines."""
    stop = threading.Event()

    def keep_feeding():
        second = 0
        while not stop.wait(0.02):
            server.accept("s", feed(second))
            second += 1

    feeder = threading.Thread(target=keep_feeding)
    feeder.start()
    try:
        answer = weir.run("tap", "--url", f"http://127.0.0.1:{server.port}", *arguments, "--limit", limit, timeout_s=30)
    finally:
        stop.set()
        feeder.join()
    assert answer.returncode == 0, answer.stderr
    return weir.records_of(answer.stdout)


def test_tap_shows_results_of_a_pipeline_and_ends_at_its_limit(make_server):
    server = make_server(CONFIG)
    shown = tap(server, "--pipeline", "p", feed=lambda s: [{"ts": T0 + s * 10_000, "k": s % 2}], limit=4)
    assert len(shown) == 4 and all(r["pipeline"] == "p" for r in shown)


def test_tap_shows_events_of_a_source_that_pass_the_filter(make_server):
    server = make_server(CONFIG)
    shown = tap(server, "--source", "s", "--filter", "k == 1", feed=lambda s: [{"ts": T0 + s, "k": s % 3}], limit=3)
    assert len(shown) == 3 and all((r.get("event") or r)["k"] == 1 for r in shown)


def test_tap_without_a_server_fails_and_names_the_url(tmp_path):
    url = f"http://127.0.0.1:{weir.free_port()}"
    answer = weir.run("tap", "--url", url, timeout_s=15)
    assert answer.returncode == 1 and url in answer.stderr


def test_demo_prints_its_url_and_makes_results(tmp_path):
    port = weir.free_port()
    server = weir.Server.__new__(weir.Server)
    server.directory, server.port, server.config_path = tmp_path, port, "demo"
    with open(tmp_path / "stderr.log", "wb") as log, open(tmp_path / "stdout.log", "wb") as out:
        server.process = subprocess.Popen(
            [weir.BINARY, "demo"],
            cwd=tmp_path,
            stdout=out,
            stderr=log,
            stdin=subprocess.DEVNULL,
            env=weir.clean_environment({"WEIR_SERVER__LISTEN": f"127.0.0.1:{port}"}),
        )
    try:
        server.wait_ready()
        text = (tmp_path / "stdout.log").read_text() + server.stderr()
        assert f"http://127.0.0.1:{port}" in text
        names = [p.get("name", p.get("pipeline")) for p in server.items("/api/v1/pipelines")]
        assert names
        weir.eventually(
            lambda: all(server.results(name, limit=3) for name in names), 30, "results of every demo pipeline"
        )
        assert server.terminate() == 0
    finally:
        server.close()


@pytest.mark.parametrize(
    "name, size",
    [
        ("decode", ["--rounds", "1"]),
        ("window", ["--events", "200000"]),
        ("fanout", ["--clients", "20", "--messages", "500"]),
    ],
)
def test_bench_prints_a_figure_as_json(name, size, tmp_path):
    answer = weir.run("bench", name, "--format", "json", *size, cwd=tmp_path, timeout_s=90)
    assert answer.returncode == 0, answer.stderr
    assert json.loads(answer.stdout.splitlines()[-1])


# The project's own files -------------------------------------------------------------------------


def yaml_files(folder):
    return sorted(pathlib.Path(weir.ROOT / folder).glob("**/*.yaml"))


def test_every_example_config_passes_check():
    for path in yaml_files("examples"):
        if "sources" in (yaml.safe_load(path.read_text()) or {}):
            answer = weir.run("check", path)
            assert answer.returncode == 0, f"{path}: {answer.stderr}"
