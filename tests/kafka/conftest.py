"""One broker for the tests of a file; each test has topics and groups of its own."""

import pytest
from oracle import kafka_broker, kafka_flights

TAIL = 3000  # characters of a log in a failure's report


@pytest.fixture(scope="session")
def broker(tmp_path_factory):
    found = kafka_broker.Broker(tmp_path_factory.mktemp("broker"))
    try:
        yield found.start()
    finally:
        found.close()


@pytest.fixture
def make_job(broker):
    """Makes kafka_flights.Job; see there."""

    def make(files, **others):
        return kafka_flights.Job(broker, files, **others)

    return make


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item):
    """A failure shows what the broker and the servers of the test had to say."""
    report = yield
    if report.failed:
        if broker := item.funcargs.get("broker"):
            report.sections.append(("log of the broker", broker.log_tail()))
        if directory := item.funcargs.get("tmp_path"):
            for path in sorted(directory.glob("server*/stderr.log")):
                report.sections.append((f"log of {path.parent.name}", path.read_text("utf-8", "replace")[-TAIL:]))
    return report
