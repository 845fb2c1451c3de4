"""Events of our own making, as many as a test wants and at any rate, with results that a formula knows.

Event i is of second i // PER_SECOND and of key i % KEYS, and carries i; it goes to partition i % partitions. In each
partition time only goes up, so nothing is late.
"""

from . import exactly_once, kafka
from .duck import FlightPipeline

T0 = 1_700_000_000_000
PER_SECOND = 5_000  # of event time
KEYS = 100
PIPELINE = FlightPipeline("p", "1s", 1, {"n": ("count()", ""), "sum": ("sum(i)", "")}, ["k"])


def config(source, sinks=None, **engine):
    """`source` is the `kafka` part of the source."""
    pipeline = {**PIPELINE.config(), "from": "s", "to": ["store", *(sinks or {})]}
    config = {
        "sources": {"s": {"kafka": source, "time": "ts", "max_out_of_orderness": "2s", "idle_timeout": "1h"}},
        "pipelines": {"p": pipeline},
    }
    if sinks:
        config["sinks"] = sinks
    if engine:
        config["engine"] = engine
    return config


def event(i, partitions):
    value = b'{"ts":%d,"k":%d,"i":%d}' % (T0 + i * 1000 // PER_SECOND, i % KEYS, i)
    return kafka.Record(i % partitions, value, b"%d" % (i % KEYS))


def events(begin, end, partitions):
    return (event(i, partitions) for i in range(begin, end))


def pushes(partitions):
    """A day later, in each partition."""
    value = b'{"ts":%d,"k":-1,"i":0}' % (T0 + 86_400_000)
    return [kafka.Record(partition, value) for partition in range(partitions)]


def wanted(count):
    """{(window start, key): (values, revision, on time)} of the first `count` events, as oracle.duck gives it."""
    rows = {}
    for second in range(-(-count // PER_SECOND)):
        begin, end = second * PER_SECOND, min(count, (second + 1) * PER_SECOND)
        for key in range(KEYS):
            mine = range(begin + key, end, KEYS)  # PER_SECOND is a multiple of KEYS
            if mine:
                rows[T0 + second * 1000, (key,)] = ((len(mine), sum(mine)), 0, len(mine))
    return rows


BEFORE_MS = T0 + 43_200_000  # windows of events, and none of a push


def check_store(server, count, timeout_s=60):
    """Each result of the first `count` events is in the store once, and right."""
    return exactly_once.wait_and_judge(
        lambda: exactly_once.stored(server.data_dir),
        [PIPELINE],
        {"p": wanted(count)},
        True,
        BEFORE_MS,
        timeout_s,
        "store",
    )


def check_topic(broker, topic, count, once=True, timeout_s=60):
    """The same of a result topic, as who reads what is committed sees it."""
    reader = kafka.Reader(broker, topic)
    try:
        return exactly_once.wait_and_judge(
            lambda: exactly_once.sent(reader.read()),
            [PIPELINE],
            {"p": wanted(count)},
            once,
            BEFORE_MS,
            timeout_s,
            "result topic",
        )
    finally:
        reader.close()
