"""Fixtures of every test from the outside. They drive the binary that is built, and only that."""

import os
import pathlib
import random
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))

from oracle import flights, weir  # noqa: E402  (the path above makes them importable)


@pytest.fixture(scope="session", autouse=True)
def built():
    """A missing binary fails every test; it never skips one."""
    assert weir.BINARY.exists(), f"no weir binary at {weir.BINARY}; build it or set WEIR_BIN"


@pytest.fixture
def seed():
    """A seed for a random test, printed (pytest shows it with a failure); WEIR_SEED repeats it."""
    value = int(os.environ.get("WEIR_SEED") or random.SystemRandom().randrange(2**32))
    print(f"WEIR_SEED={value}")
    return value


@pytest.fixture
def make_server(tmp_path):
    """Starts servers, each in a directory of its own, and kills what a test leaves behind."""
    servers = []

    def make(config, start=True, env=None, directory=None):
        if directory is None:
            directory = tmp_path / f"server{len(servers)}"
            directory.mkdir()
        server = weir.Server(directory, config, env)
        servers.append(server)
        return server.start() if start else server

    yield make
    for server in servers:
        server.close()


@pytest.fixture(scope="session")
def all_flights():
    """Every departure of 2013, by event time."""
    return flights.load()


@pytest.fixture(scope="session")
def flight_files(tmp_path_factory, all_flights):
    """Writes flights as NDJSON partitions once per (months, order, partitions); see oracle.flights."""
    made = {}

    def files(months, partitions=1, disorder=None, seed=1, split="carrier"):
        key = (tuple(months), partitions, disorder, seed, split)
        if key not in made:
            directory = tmp_path_factory.mktemp("flights")
            made[key] = flights.write(directory, all_flights, months, partitions, disorder, seed, split)
        return made[key]

    return files
