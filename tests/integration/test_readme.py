"""The commands of the README do what it says, and every example is a config that weir accepts."""

import json
import re
import subprocess

import pytest
from oracle import weir

README = (weir.ROOT / "README.md").read_text()
EXAMPLES = sorted(p for p in (weir.ROOT / "examples").glob("*.yaml") if not p.name.endswith(".test.yaml"))
ADDRESS = "127.0.0.1:8765"


def commands_after(heading):
    """The shell blocks of a section."""
    section = README.split(f"## {heading}\n")[1].split("\n## ")[0]
    return re.findall(r"```sh\n(.*?)```", section, re.DOTALL)


@pytest.fixture
def example_server(tmp_path):
    """The server of the README's command, on a free port and with its data elsewhere."""
    [start] = [block for block in commands_after("Your own events") if "weir run" in block]
    config = weir.ROOT / start.split()[-1]
    port = weir.free_port()
    environment = {"WEIR_SERVER__LISTEN": f"127.0.0.1:{port}", "WEIR_DATA_DIR": str(tmp_path / "data")}
    with open(tmp_path / "log", "wb") as log:
        process = subprocess.Popen(
            [weir.BINARY, "run", config], env=weir.clean_environment(environment), stdout=log, stderr=log, cwd=tmp_path
        )
    yield f"127.0.0.1:{port}"
    process.kill()
    process.wait()


def shell(command, address):
    text = command.replace(ADDRESS, address).replace("curl ", "curl -sS ")
    return subprocess.run(["bash", "-euc", text], capture_output=True, text=True)


def test_an_own_event_sent_with_curl_appears_in_a_window(example_server):
    _, send, ask = commands_after("Your own events")
    address = example_server
    weir.eventually(lambda: shell(f"curl -f http://{ADDRESS}/ready", address).returncode == 0, 20, "/ready")

    answer = shell(send, address)
    assert json.loads(answer.stdout) == {"accepted": 2, "rejected": 0, "errors": []}, answer
    items = weir.eventually(lambda: json.loads(shell(ask, address).stdout)["items"], 10, "an early result")
    assert items[0]["key"] == {"country": "FR"}
    assert items[0]["values"] == {"orders": 2, "revenue": 42.5, "largest": 22.5}
    final = weir.eventually(
        lambda: [i for i in json.loads(shell(ask, address).stdout)["items"] if i["emit"] == "final"],
        40,
        "a final result",
    )
    assert final[0]["values"] == items[0]["values"]


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.name)
def test_example_is_accepted(example):
    completed = weir.run("check", example, cwd=weir.ROOT)
    assert completed.returncode == 0, completed.stderr


def test_there_are_examples():
    assert EXAMPLES
