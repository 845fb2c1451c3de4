"""Running the measured programs: their CPU time, their memory, and a weir server under load."""

import contextlib
import http.client
import json
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
WEIR = ROOT / "build/release/weir"
PROGRAMS = ROOT / "build/release/bench"
SCRATCH = ROOT / "build/bench"
DEADLINE_S = 300
AGGREGATES = {
    "n": "count()",
    "total": "sum(properties.amount)",
    "low": "min(properties.amount)",
    "high": "max(properties.amount)",
    "mean": "mean(properties.amount)",
}


@dataclass
class Row:
    """One line of the table. `ratio` is weir's figure by the peer's, larger is better; `goal` the ratio aimed at."""

    name: str
    weir: float
    peer_name: str = ""
    peer: float | None = None
    unit: str = "k events per CPU-second"
    goal: float | None = None
    lower_is_better: bool = False

    @property
    def ratio(self):
        if self.peer is None:
            return None
        return self.peer / self.weir if self.lower_is_better else self.weir / self.peer


class Failed(Exception):
    """A measurement that could not be made; the text says why."""


def last_json(text):
    for line in reversed(text.splitlines()):
        if line.startswith("{"):
            return json.loads(line)
    raise Failed(f"no JSON line in: {text[-300:]!r}")


def run_process(command, **options):
    """Runs a program to its end. Returns (stdout, stderr, CPU seconds, wall seconds)."""
    with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as err:
        start = time.monotonic()
        process = subprocess.Popen([str(word) for word in command], stdout=options.get("stdout", out), stderr=err)
        _, status, usage = os.wait4(process.pid, 0)
        wall = time.monotonic() - start
        process.returncode = os.waitstatus_to_exitcode(status)
        out.seek(0)
        err.seek(0)
        texts = out.read(), err.read()
    if process.returncode != 0:
        raise Failed(f"{' '.join(map(str, command))} ended with {process.returncode}: {texts[1][-300:].strip()}")
    return *texts, usage.ru_utime + usage.ru_stime, wall


def run_json(command):
    """Runs a program that prints its result as one JSON line."""
    return last_json(run_process(command)[0])


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def wait_until(condition, what, interval_s=0.01):
    deadline = time.monotonic() + DEADLINE_S
    while time.monotonic() < deadline:
        with contextlib.suppress(OSError, http.client.HTTPException):
            if value := condition():
                return value
        time.sleep(interval_s)
    raise Failed(f"{what}: not within {DEADLINE_S} s")


class Server:
    """A weir server with its own port and data folder, used as a context manager."""

    def __init__(self, config):
        self.port = free_port()
        self.config = {"server": {"listen": f"127.0.0.1:{self.port}", "rate_limit_per_minute": 0}, **config}

    def __enter__(self):
        SCRATCH.mkdir(parents=True, exist_ok=True)
        self.folder = Path(tempfile.mkdtemp(dir=SCRATCH, prefix="server-"))
        self.config["data_dir"] = str(self.folder / "data")
        path = self.folder / "weir.yaml"
        path.write_text(json.dumps(self.config, indent=1))  # JSON is YAML
        self.log = open(self.folder / "log", "w+")
        self.started = time.monotonic()
        self.process = subprocess.Popen([WEIR, "run", path], stdout=self.log, stderr=self.log)
        wait_until(self.is_ready, "weir run did not become ready")
        return self

    def __exit__(self, *_):
        if self.process.returncode is None:
            self.stop()
        self.log.close()
        shutil.rmtree(self.folder, ignore_errors=True)

    def is_ready(self):
        if self.process.poll() is not None:
            self.log.seek(0)
            raise Failed(f"weir run ended with {self.process.returncode}: {self.log.read()[-300:].strip()}")
        return self.request("GET", "/ready")[0] == 200

    def request(self, method, path, body=None):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        try:
            connection.request(method, path, body=body)
            answer = connection.getresponse()
            return answer.status, answer.read()
        finally:
            connection.close()

    def get(self, path):
        status, body = self.request("GET", path)
        if status != 200:
            raise Failed(f"GET {path} answered {status}: {body[:200]!r}")
        return json.loads(body)

    def accounted(self, source):
        """Events of the source that every pipeline has accounted for."""
        state = self.get(f"/api/v1/sources/{source}")
        used = [sum(p[k] for k in ("used", "filtered", "too_late")) for p in state["pipelines"].values()]
        return state["counters"]["bad"] + min(used)

    def cpu_seconds(self):
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def memory_peak(self):
        """Largest resident size so far, in bytes."""
        for line in Path(f"/proc/{self.process.pid}/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
        raise Failed("the kernel does not tell VmHWM")

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(timeout=20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise Failed("weir run did not end within 20 s of SIGTERM") from None
        if self.process.returncode != 0:
            raise Failed(f"weir run ended with {self.process.returncode} after SIGTERM")


def broadcast(command, clients, messages):
    """Runs a broadcasting server and its clients; the server prints its port, then its result."""
    server = subprocess.Popen([str(word) for word in command], stdout=subprocess.PIPE, text=True)
    try:
        port = json.loads(server.stdout.readline())["port"]
        drained = run_json([PROGRAMS / "ws_drain", port, clients, messages])
        result = json.loads(server.stdout.readline())
    finally:
        server.kill()
        server.wait()
    if drained["messages"] != result["deliveries"]:
        raise Failed(f"{drained['messages']} of {result['deliveries']} messages arrived")
    return result
