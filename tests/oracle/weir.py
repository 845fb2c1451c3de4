"""Drives the weir binary from outside: commands, a server in a directory of its own, HTTP.

Only the standard library and PyYAML are used, so that nothing here shares a parser or a client
with the product. Nothing sleeps for a result: `eventually` polls until a deadline.
"""

import base64
import contextlib
import http.client
import json
import os
import pathlib
import signal
import socket
import subprocess
import time
import urllib.parse

import yaml

ROOT = pathlib.Path(__file__).resolve().parents[2]
BINARY = pathlib.Path(os.environ.get("WEIR_BIN", ROOT / "build" / "release" / "weir"))
COMMAND_TIMEOUT_S = 120
READY_TIMEOUT_S = 20
# The kernel ends a server when the thread that started it is gone, so that nothing is left of a killed test run.
DIES_WITH_THE_TESTS = ["setpriv", "--pdeathsig", "KILL"]
# A sanitizer build is several times slower; the deadlines of the product stay as they are.
PATIENCE = float(os.environ.get("WEIR_TEST_PATIENCE", "1"))


def eventually(probe, timeout_s=15.0, what="condition", interval_s=0.02):
    """Polls `probe` until it returns something true and returns that; fails after `timeout_s`."""
    deadline = time.monotonic() + timeout_s * PATIENCE
    last = None
    while True:
        try:
            last = probe()
            if last:
                return last
        except (TimeoutError, ConnectionError, http.client.HTTPException, KeyError) as error:
            last = error
        if time.monotonic() > deadline:
            raise AssertionError(f"{what}: not within {timeout_s} s; last seen: {last!r}")
        time.sleep(interval_s)


def clean_environment(extra=None):
    """The environment without WEIR_* overrides and colours, so that a test sees only its own."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith("WEIR_")}
    # Settings of the sanitizers and of a test build's libraries pass through untouched.
    environment["NO_COLOR"] = "1"
    environment["TZ"] = "UTC"
    environment.update(extra or {})
    return environment


def run(*arguments, stdin=None, env=None, cwd=None, timeout_s=COMMAND_TIMEOUT_S, binary_output=False):
    """Runs one command to its end; returns the completed process with text streams."""
    assert BINARY.exists(), f"no weir binary at {BINARY}; build it or set WEIR_BIN"
    if isinstance(stdin, str):
        stdin = stdin.encode()
    # An inherited stdin would let `-` inputs hang on a terminal.
    completed = subprocess.run(
        [str(BINARY), *map(str, arguments)],
        input=stdin if stdin is not None else b"",
        capture_output=True,
        env=clean_environment(env),
        cwd=cwd,
        timeout=timeout_s * PATIENCE,
    )
    if not binary_output:
        completed.stdout = completed.stdout.decode("utf-8")
        completed.stderr = completed.stderr.decode("utf-8", "replace")
    return completed


def write_config(directory, config, name="weir.yaml"):
    """Writes a config given as text or as a mapping; returns its path."""
    path = pathlib.Path(directory) / name
    if not isinstance(config, str):
        # By way of JSON, so that what is used twice is written twice and not as an anchor.
        config = yaml.safe_dump(json.loads(json.dumps(config)), sort_keys=False, allow_unicode=True, width=1000)
    path.write_text(config, encoding="utf-8")
    return path


def records_of(text):
    """The JSON records of an NDJSON text."""
    return [json.loads(line) for line in text.split("\n") if line]


def summary_of(stderr):
    """The one JSON line with the counters that `replay --format json` writes to stderr."""
    found = []
    for line in stderr.splitlines():
        if not line.startswith("{"):
            continue
        with contextlib.suppress(json.JSONDecodeError):
            value = json.loads(line)
            if "sources" in value:
                found.append(value)
    assert len(found) == 1, f"want one summary line on stderr, got {len(found)}:\n{stderr}"
    return found[0]


def source_counters(summary, source):
    """The counters of one source in a summary, in the shape of GET /api/v1/sources/{s}."""
    sources = summary["sources"]
    if isinstance(sources, list):
        sources = {item.get("source", item.get("name")): item for item in sources}
    return sources[source]


class Replay:
    """What one `weir replay` printed."""

    def __init__(self, completed):
        assert completed.returncode == 0, f"replay exited {completed.returncode}:\n{completed.stderr}"
        self.text = completed.stdout
        self.stderr = completed.stderr
        self.records = records_of(completed.stdout)
        self.summary = summary_of(completed.stderr)

    def source(self, name):
        return source_counters(self.summary, name)

    def of(self, pipeline):
        return [r for r in self.records if r["pipeline"] == pipeline]


def replay(config, inputs, *options, env=None, stdin=None, cwd=None):
    """`weir replay`: `config` is a path, `inputs` maps a source to its files (a partition each)."""
    arguments = ["replay", config]
    for source, files in inputs.items():
        files = [files] if isinstance(files, (str, pathlib.Path)) else files
        arguments += ["--input", f"{source}=" + ",".join(map(str, files))]
    return Replay(run(*arguments, "--format", "json", *options, env=env, stdin=stdin, cwd=cwd))


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Response:
    """One HTTP answer, read to its end."""

    def __init__(self, status, headers, body):
        self.status = status
        self.headers = headers
        self.body = body

    @property
    def text(self):
        return self.body.decode("utf-8")

    def json(self):
        return json.loads(self.body)

    def __repr__(self):
        return f"<{self.status} {self.body[:300]!r}>"


def is_problem(response, status):
    """Asserts an RFC 9457 error of this status."""
    assert response.status == status, response
    kind = response.headers.get("content-type", "")
    assert kind.startswith("application/problem+json"), (kind, response)
    problem = response.json()
    assert problem.get("status", status) == status, problem
    assert problem.get("title") or problem.get("detail"), problem
    return problem


class Server:
    """`weir run` on a port of its own in a directory of its own. Restarts keep port and data."""

    def __init__(self, directory, config, env=None):
        self.directory = pathlib.Path(directory)
        self.port = free_port()
        self.env = dict(env or {})
        self.process = None
        self.starts = 0
        config = dict(config)
        config["server"] = {"listen": f"127.0.0.1:{self.port}", **config.get("server", {})}
        config.setdefault("data_dir", str(self.directory / "data"))
        self.data_dir = pathlib.Path(config["data_dir"])
        self.config = config
        self.config_path = write_config(self.directory, config)

    # Life ------------------------------------------------------------------------------------

    def start(self, wait=True, env=None):
        assert BINARY.exists(), f"no weir binary at {BINARY}; build it or set WEIR_BIN"
        assert self.process is None, "already running"
        self.starts += 1
        with open(self.stderr_path, "ab") as log:
            self.process = subprocess.Popen(
                [*DIES_WITH_THE_TESTS, str(BINARY), "run", str(self.config_path)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=self.directory,
                env=clean_environment({**self.env, **(env or {})}),
            )
        if wait:
            self.wait_ready()
        return self

    @property
    def stderr_path(self):
        return self.directory / "stderr.log"

    def stderr(self):
        return self.stderr_path.read_text("utf-8", "replace")

    def wait_ready(self, timeout_s=READY_TIMEOUT_S):
        def ready():
            code = self.process.poll()
            assert code is None, f"weir run exited {code} before it was ready:\n{self.stderr()[-4000:]}"
            return self.get("/ready").status == 200

        eventually(ready, timeout_s, f"/ready of {self.config_path}")

    def running(self):
        return self.process is not None and self.process.poll() is None

    def terminate(self, timeout_s=10):
        """SIGTERM; returns the exit code, which has to come within `timeout_s`."""
        self.process.send_signal(signal.SIGTERM)
        return self.wait_exit(timeout_s)

    def wait_exit(self, timeout_s):
        try:
            code = self.process.wait(timeout_s * PATIENCE)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"still running after {timeout_s} s:\n{self.stderr()[-4000:]}") from None
        self.process = None
        return code

    def kill(self):
        self.process.kill()
        self.process.wait()
        self.process = None

    def close(self):
        if self.process is not None:
            self.kill()

    def __enter__(self):
        return self.start()

    def __exit__(self, *_):
        self.close()

    def rss_bytes(self):
        for line in pathlib.Path(f"/proc/{self.process.pid}/status").read_text().splitlines():
            if line.startswith("VmRSS:"):
                return int(line.split()[1]) * 1024
        raise AssertionError("no VmRSS")

    # HTTP ------------------------------------------------------------------------------------

    def connect(self, timeout_s=30):
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout_s)

    def request(self, method, path, body=None, headers=None, timeout_s=30):
        connection = self.connect(timeout_s)
        try:
            connection.request(method, path, body=body, headers=headers or {})
            answer = connection.getresponse()
            return Response(answer.status, {k.lower(): v for k, v in answer.getheaders()}, answer.read())
        finally:
            connection.close()

    def get(self, path, headers=None, **query):
        if query:
            path += "?" + urllib.parse.urlencode(query)
        return self.request("GET", path, headers=headers)

    def post(self, source, body, content_type="application/x-ndjson"):
        """One ingest request; `body` is bytes, text, or a list of events (sent as NDJSON)."""
        if isinstance(body, list):
            body = "".join(json.dumps(e, separators=(",", ":")) + "\n" for e in body)
        if isinstance(body, str):
            body = body.encode("utf-8")
        return self.request("POST", f"/api/v1/sources/{source}/events", body, {"Content-Type": content_type})

    def accept(self, source, body):
        """Posts events that must all be accepted."""
        answer = self.post(source, body)
        assert answer.status == 202, answer
        value = answer.json()
        assert value["rejected"] == 0, value
        return value

    def items(self, path, **query):
        """Every item of a list, page by page."""
        items, cursor = [], None
        while True:
            page = dict(query)
            if cursor is not None:
                page["cursor"] = cursor
            answer = self.get(path, **page)
            assert answer.status == 200, answer
            value = answer.json()
            items += value["items"]
            cursor = value.get("next_cursor")
            if cursor is None:
                return items
            assert value["items"], "an empty page that promises more"

    def results(self, pipeline, **query):
        return self.items(f"/api/v1/results/{pipeline}", **query)

    def source(self, name):
        answer = self.get(f"/api/v1/sources/{name}")
        assert answer.status == 200, answer
        return answer.json()

    def dead_letters(self, **query):
        items = self.items("/api/v1/dead-letters", **query)
        for item in items:
            item["raw"] = base64.b64decode(item["raw_base64"], validate=True)
        return items

    def wait_counted(self, source, pipeline, count, timeout_s=20):
        """Waits until the pipeline has given a verdict on `count` events of the source, and
        returns the source's state; conservation must hold whenever it is looked at."""

        def counted():
            state = self.source(source)
            check_conservation(state)
            return state if state["counters"]["in"] >= count else None

        return eventually(counted, timeout_s, f"{count} events of {source} in {pipeline}")


def check_conservation(state):
    """in = bad + used + filtered + too_late, for every pipeline of the source (spec section 6)."""
    counters = state["counters"]
    assert sum(state["bad_by_reason"].values()) == counters["bad"], state
    for name, verdicts in state["pipelines"].items():
        assert counters["in"] == counters["bad"] + sum(verdicts[v] for v in ("used", "filtered", "too_late")), (
            name,
            state,
        )
