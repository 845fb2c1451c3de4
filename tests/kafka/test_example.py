"""examples/kafka: the commands of its README do what it says, against a broker with the settings of its Compose file."""

import json
import os
import re
import shutil
import signal
import subprocess

import pytest
import yaml
from oracle import kafka, kafka_broker, weir

FOLDER = weir.ROOT / "examples" / "kafka"
README = (FOLDER / "README.md").read_text()
COMPOSE = yaml.safe_load((FOLDER / "compose.yaml").read_text())
BROKER, PAGE = "127.0.0.1:9092", "127.0.0.1:8765"
WINDOW_MS = 10_000


def commands_after(heading):
    """The shell blocks of a section."""
    section = README.split(f"## {heading}\n")[1].split("\n## ")[0]
    return re.findall(r"```sh\n(.*?)```", section, re.DOTALL)


CREATE, SEND, RUN = commands_after("From an empty broker to charts")
RESULTS, LOOK, SECOND = commands_after("Then")


def compose_properties(**ports):
    """What the image makes of the Compose file's environment, on this machine and these ports."""
    environment = COMPOSE["services"]["kafka"]["environment"]
    lines = []
    for name, value in environment.items():
        if name.startswith("KAFKA_"):
            text = (
                value.replace("://kafka:", "://127.0.0.1:")
                .replace("@kafka:", "@127.0.0.1:")
                .replace("://:", "://127.0.0.1:")
            )
            for port, name_of in ((":9092", "plain"), (":19092", "secure"), (":29093", "controller")):
                text = text.replace(port, f":{ports[name_of]}")
            lines.append(f"{name.removeprefix('KAFKA_').lower().replace('_', '.')}={text}")
    return "\n".join(lines) + "\n"


@pytest.fixture(scope="module")
def example_broker(tmp_path_factory):
    found = kafka_broker.Broker(tmp_path_factory.mktemp("compose"), compose_properties, standalone=False)
    try:
        yield found.start()
    finally:
        found.close()


class Shell:
    """Runs commands of the README with the broker's address, the server's and the binary put in."""

    def __init__(self, broker, directory):
        self.address = f"127.0.0.1:{weir.free_port()}"
        self.changes = {BROKER: broker.address, PAGE: self.address, "build/release/weir": str(weir.BINARY)}
        self.data_dir = directory / "data"
        self.environment = weir.clean_environment(
            {
                "KAFKA_BROKER": broker.address,
                "WEIR_SERVER__LISTEN": self.address,
                "WEIR_DATA_DIR": str(self.data_dir),
            }
        )
        self.log_path = directory / "stderr.log"
        self.processes = []

    def _text(self, command):
        for old, new in self.changes.items():
            command = command.replace(old, new)
        return command

    def run(self, command):
        command = ["bash", "-euo", "pipefail", "-c", self._text(command)]
        done = subprocess.run(
            command, cwd=weir.ROOT, env=self.environment, capture_output=True, text=True, timeout=60 * weir.PATIENCE
        )
        assert done.returncode == 0, done
        return done.stdout

    def start(self, command):
        """In a group of its own, which `stop` ends."""
        command = ["setpriv", "--pdeathsig", "KILL", "bash", "-uc", self._text(command).rstrip().removesuffix("&")]
        with open(self.log_path, "ab") as log:
            process = subprocess.Popen(
                command, cwd=weir.ROOT, env=self.environment, stdout=log, stderr=log, start_new_session=True
            )
        self.processes.append(process)
        return process

    def stop(self, process, how=signal.SIGTERM):
        os.killpg(process.pid, how)
        process.wait(20)
        self.processes.remove(process)

    def get(self, path):
        done = subprocess.run(["curl", "-sS", f"http://{self.address}{path}"], capture_output=True, text=True)
        return json.loads(done.stdout) if done.returncode == 0 else {}

    def final(self, pipeline):
        """{(window start, key): values} of closed windows in the store."""
        items = self.get(f"/api/v1/results/{pipeline}?limit=10000").get("items", [])
        return {(i["window_start"], *i["key"].values()): i["values"] for i in items if i["emit"] == "final"}


@pytest.fixture
def shell(example_broker, tmp_path):
    assert shutil.which("kcat"), "kcat is not there; ./dev test installs it"
    made = Shell(example_broker, tmp_path)
    yield made
    for process in made.processes[:]:
        made.stop(process, signal.SIGKILL)


def read(broker, topic):
    reader = kafka.Reader(broker, topic)
    try:
        return reader.read()
    finally:
        reader.close()


def sums(records):
    """What each window holds by the events in the topic, counted here."""
    revenue, views = {}, {}
    for record in records:
        try:
            event = json.loads(record.value)
        except ValueError:
            continue
        start = event["ts"] // WINDOW_MS * WINDOW_MS
        if event["kind"] == "order":
            revenue.setdefault((start, event["country"]), []).append(event["amount"])
        else:
            views.setdefault((start, event["page"]), []).append(event["load_ms"])
    return revenue, views


def check_results(found, records, count):
    """The first `count` finals of a pipeline are those of the events."""
    revenue, views = sums(records)
    for place, values in found["revenue"].items():
        mine = revenue[place]
        assert values["orders"] == len(mine) and values["largest"] == max(mine)
        assert values["revenue"] == pytest.approx(sum(mine), rel=1e-12)
    for place, values in found["pages"].items():
        mine = views[place]
        assert values["views"] == len(mine) and values["slowest_ms"] == max(mine)
        assert values["load_ms"] == pytest.approx(sum(mine) / len(mine), rel=1e-12)
    assert all(len(results) >= count for results in found.values()), found


def sent_finals(text):
    """{pipeline: {place: values}} of what kcat printed; each result is there once."""
    found = {"revenue": {}, "pages": {}}
    for record in map(json.loads, text.splitlines()):
        place = (record["window_start"], *record["key"].values())
        if record["emit"] == "final":
            assert place not in found[record["pipeline"]], f"twice: {record}"
            found[record["pipeline"]][place] = record["values"]
    return found


def test_from_an_empty_broker_to_results_that_survive_a_kill(example_broker, shell):
    assert "created shop-events: 4 partitions" in shell.run(CREATE)
    shell.start(SEND)
    server = shell.start("exec " + RUN)
    weir.eventually(lambda: len(shell.final("revenue")) >= 5, 60, "a closed window", interval_s=0.2)
    shell.stop(server, signal.SIGKILL)
    before = shell.data_dir / "weir.db"
    assert before.exists()
    shell.start("exec " + RUN)
    weir.eventually(lambda: len(shell.final("revenue")) >= 15, 90, "more closed windows", interval_s=0.2)
    events = read(example_broker, "shop-events")
    check_results({"revenue": shell.final("revenue"), "pages": shell.final("pages")}, events, 15)
    check_results(sent_finals(shell.run(RESULTS)), read(example_broker, "shop-events"), 10)
    weir.eventually(
        lambda: "weir.reason=not_json" in shell.run(LOOK), 60, "a broken event in the dead-letter topic", interval_s=0.5
    )
    assert "group shop-example is" in shell.run(LOOK)
    second = shell.changes[PAGE]
    assert "127.0.0.1:8766" in SECOND and second not in SECOND  # it has a port and data of its own
