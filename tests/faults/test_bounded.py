"""A client that does not read, a disk that is full, a store that does not answer: memory stays, nothing accepted is lost, /health says why."""

import base64
import json
import os
import pathlib
import socket
import sqlite3
import subprocess
import threading

import pytest
from oracle import load, weir

MIB = 1024 * 1024


def health(server):
    answer = server.get("/health")
    assert answer.status in (200, 503), answer
    return answer.json()


def troubled(server, word):
    """The component that is not well and whose name or reason has the word."""
    for name, component in health(server)["components"].items():
        if component["status"] != "ok" and (word in name or word in component.get("reason", "")):
            assert component["reason"], component
            return component
    return None


def stalled_reader(server, subscription):
    """A WebSocket that subscribes and then reads nothing, with a small receive buffer."""
    connection = socket.socket()
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    connection.connect(("127.0.0.1", server.port))
    key = base64.b64encode(os.urandom(16)).decode()
    connection.sendall(
        (
            f"GET /ws HTTP/1.1\r\nHost: 127.0.0.1:{server.port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            f"Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n\r\n"
        ).encode()
    )
    assert connection.recv(4096).startswith(b"HTTP/1.1 101")
    message = json.dumps({"type": "subscribe", "data": subscription}).encode()
    mask = os.urandom(4)
    length = bytes([0x80 | len(message)]) if len(message) < 126 else bytes([0xFE]) + len(message).to_bytes(2, "big")
    connection.sendall(b"\x81" + length + mask + bytes(b ^ mask[i % 4] for i, b in enumerate(message)))
    return connection


def test_a_stalled_websocket_reader_is_cut_and_shown_and_memory_stays(make_server):
    server = make_server(
        {
            "server": {"client_queue": "256KiB"},
            "sources": {"s": {"http": {}, "time": "ts", "max_out_of_orderness": "0s"}},
            "pipelines": {
                "p": {
                    "from": "s",
                    "key": ["k"],
                    "window": {"tumbling": "1s"},
                    "aggregates": {"n": "count()"},
                    "to": ["live"],
                }
            },
        }
    )
    readers = [stalled_reader(server, {"type": "events"}) for _ in range(20)]
    pad = "x" * 400
    second = 0

    def feed():
        nonlocal second
        second += 1
        server.accept("s", [{"ts": load.T0 + second * 1000 + i % 1000, "k": i, "pad": pad} for i in range(1000)])

    feed()
    before = server.rss_bytes()

    def cut():
        feed()
        stats = server.get("/api/v1/stats").json()
        return stats if troubled(server, "slow") else None

    weir.eventually(cut, 60, "slow consumers in /health")
    for _ in range(30):
        feed()
    # 20 queues of 256 KiB, and what a burst of ingest takes.
    assert server.rss_bytes() - before < 64 * MIB
    server.wait_counted("s", "p", second * 1000)
    for reader in readers:
        reader.close()


def test_a_store_that_is_locked_is_shown_and_nothing_accepted_is_lost(make_server, seed):
    server = make_server(load.config())
    traffic = load.Load(server, seed)
    locker = sqlite3.connect(server.data_dir / "weir.db", isolation_level=None, timeout=30)
    try:
        weir.eventually(lambda: traffic.count() > 100, 30, "accepted requests")
        locker.execute("BEGIN IMMEDIATE")
        reason = weir.eventually(lambda: troubled(server, "store"), 20, "the store in /health")["reason"]
        assert "lock" in reason or "busy" in reason, reason
        before, accepted = server.rss_bytes(), traffic.count()
        weir.eventually(lambda: traffic.count() > accepted + 300, 60, "requests accepted while the store is locked")
        assert server.rss_bytes() - before < 64 * MIB
        locker.execute("ROLLBACK")
        weir.eventually(lambda: not troubled(server, "store"), 20, "the store well again")
    finally:
        traffic.stop()
        locker.close()
    traffic.flush()
    traffic.check()


def test_a_server_whose_store_is_locked_still_stops_in_time_and_loses_nothing(make_server, seed):
    server = make_server(load.config())
    traffic = load.Load(server, seed)
    locker = sqlite3.connect(server.data_dir / "weir.db", isolation_level=None, timeout=30)
    try:
        weir.eventually(lambda: traffic.count() > 50, 30, "accepted requests")
        locker.execute("BEGIN IMMEDIATE")
        weir.eventually(lambda: troubled(server, "store"), 20, "the store in /health")
        assert server.terminate(10) == 0
        locker.execute("ROLLBACK")
        server.start()
    finally:
        traffic.stop()
        locker.close()
    traffic.flush()
    traffic.check()


# Ways to a mount namespace, the first that works is taken: with no rights at all; as root where user namespaces are refused (a chroot,
# many containers); as root where also the root is no mount point, whose propagation could be changed.
NAMESPACES = [["-rm"], ["-m"], ["-m", "--propagation", "unchanged"]]


def unshare():
    """The command that runs another one where it may mount."""
    refusals = []
    for options in NAMESPACES:
        command = ["unshare", *options]
        tried = subprocess.run([*command, "true"], capture_output=True, text=True)
        if tried.returncode == 0:
            return command
        refusals.append(f"{' '.join(command)}: {tried.stderr.strip()}")
    raise AssertionError(
        "a small disk needs user namespaces, or root with CAP_SYS_ADMIN, to mount a tmpfs; refused:\n"
        + "\n".join(refusals)
    )


class SmallDisk:
    """A server whose data_dir is on a tmpfs of its own, in a mount namespace of its own, with a ballast file that can be taken away."""

    def __init__(self, server, size_mib, ballast_mib):
        self.server = server
        server.data_dir.mkdir()
        script = (
            f"mount -t tmpfs -o size={size_mib}m,mode=700 weir-test {server.data_dir} && "
            f"head -c {ballast_mib}M /dev/zero > {server.data_dir}/ballast && exec {weir.BINARY} run {server.config_path}"
        )
        with open(server.stderr_path, "ab") as log:
            server.process = subprocess.Popen(
                [*unshare(), "sh", "-c", script],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=server.directory,
                env=weir.clean_environment(),
            )
        server.wait_ready()

    def free(self):
        path = pathlib.Path(f"/proc/{self.server.process.pid}/root{self.server.data_dir}/ballast")
        path.unlink()

    def close(self):
        """Where propagation is unchanged, the mount may have come out of its namespace."""
        self.server.close()
        if self.server.data_dir.is_mount():
            subprocess.run(["umount", "--lazy", str(self.server.data_dir)], check=True)


@pytest.fixture
def small_disk():
    disks = []

    def make(server, **sizes_mib):
        disks.append(SmallDisk(server, **sizes_mib))
        return disks[-1]

    yield make
    for disk in disks:
        disk.close()


def test_a_full_disk_is_shown_and_refuses_and_goes_on_when_there_is_room(make_server, small_disk, seed):
    server = make_server(load.config(), start=False)
    disk = small_disk(server, size_mib=24, ballast_mib=16)
    traffic = load.Load(server, seed, events=(200, 400))
    try:
        weir.eventually(lambda: traffic.count() > 20, 30, "accepted requests")
        before = server.rss_bytes()
        reason = weir.eventually(
            lambda: troubled(server, "full") or troubled(server, "disk"), 60, "the full disk in /health"
        )["reason"]
        assert reason
        refused = threading.Event()

        def is_refused():
            answer = server.post("s", [{"ts": load.T0, "request": "probe", "i": 0}])
            if answer.status in (429, 503):
                refused.set()
            return refused.is_set()

        weir.eventually(is_refused, 60, "a refusal while the disk is full", interval_s=0.1)
        assert server.rss_bytes() - before < 96 * MIB
        disk.free()
        accepted = traffic.count()
        weir.eventually(lambda: traffic.count() > accepted + 20, 60, "accepted requests after there is room again")
    finally:
        traffic.stop()
    traffic.flush()
    traffic.check()
    weir.eventually(lambda: health(server)["status"] == "ok", 20, "well again")
