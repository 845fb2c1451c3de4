"""Random streams and random pipelines with tumbling and sliding windows, each in two forms: weir's config, and the model's."""

import json

from .model import Pipeline, Row, lookup

BASE_MS = 1_700_000_000_000  # divisible by no window size but seconds, so alignment shows
SIZES_S = (1, 7, 10, 60, 90, 3600)
SLIDES_S = (1, 3, 4, 7, 10, 25, 45, 70, 600, 1000, 3600)
WINDOWS_MAX = 40  # that an event may be in
FUNCTIONS = ("count", "sum", "mean", "min", "max", "stddev", "stddev_pop", "variance", "first", "last")
FUNCTIONS += ("median", "percentile", "distinct_count", "top", "rate")
ANY_TYPE = ("count", "first", "last", "distinct_count", "top")
CONSTANTS = {"percentile": ("0", "1", "25", "90", "99.9", "100"), "top": (1, 2, 5, 100)}
NUMBER_PATHS = ("n", "d", "deep.m", "big")
ANY_PATHS = NUMBER_PATHS + ("tag", "flag", "user")
KEY_PATHS = ("user", "tag", "flag", "deep.k")
BAD_LINES = (
    '{"ts":',
    "[1]",
    '{"n":1}',
    '{"ts":"soon"}',
    '{"ts":1700000000000,"n":1,"n":2}',
    '{"ts":null}',
    '{"ts":1700000000000} x',
    "nul",
    '{"ts":1700000000000,"s":"\\ud800"}',
)


def or3(left, right):
    """`||` over true, false and null."""
    if left is True or right is True:
        return True
    return None if left is None or right is None else False


def and3(left, right):
    if left is False or right is False:
        return False
    return None if left is None or right is None else True


def not3(value):
    return None if value is None else not value


def compare3(value, test):
    return None if value is None else test(value)


def random_where(rng):
    """(expression text, the same as a function of the event), or (None, None)."""
    bound = rng.randrange(0, 50)
    w, tag, flag = (lambda e: lookup(e, "w")), (lambda e: lookup(e, "tag")), (lambda e: lookup(e, "flag"))
    return rng.choice(
        [
            (None, None),
            (None, None),
            (f"w > {bound}", lambda e: compare3(w(e), lambda v: v > bound)),
            (f"!(w > {bound})", lambda e: not3(compare3(w(e), lambda v: v > bound))),
            ("flag", flag),
            ("!flag", lambda e: not3(flag(e))),
            ("has(w)", lambda e: w(e) is not None),
            (
                f'tag == "a" || w <= {bound}',
                lambda e: or3(compare3(tag(e), lambda v: v == "a"), compare3(w(e), lambda v: v <= bound)),
            ),
            (f"flag && w < {bound}", lambda e: and3(flag(e), compare3(w(e), lambda v: v < bound))),
            ('tag in ["a", "ü"]', lambda e: compare3(tag(e), lambda v: v in ("a", "ü"))),
            (f"w * 2 + 1 >= {bound}", lambda e: compare3(w(e), lambda v: v * 2 + 1 >= bound)),
        ]
    )


def random_window(rng, size_s):
    """(weir's config, slide, offset): tumbling or sliding, also by what does not divide the size, or is longer."""
    slide_s = rng.choice([s for s in SLIDES_S if size_s / s <= WINDOWS_MAX]) if rng.random() < 0.6 else size_s
    offset_s = rng.choice((0, 0, 0, 1, -2, 5))
    window = {"sliding": {"size": f"{size_s}s", "slide": f"{slide_s}s"}}
    if slide_s == size_s and rng.random() < 0.8:
        window = {"tumbling": f"{size_s}s"}
    if offset_s:
        window["offset"] = f"{offset_s}s"
    return window, slide_s, offset_s


def random_pipeline(rng, name, source, has_one_partition=False):
    """(weir's config of a pipeline, the model's)."""
    size_s = rng.choice(SIZES_S)
    window, slide_s, offset_s = random_window(rng, size_s)
    lateness_s = rng.choice((None, 0, 1, 5, 30, 600))
    late = rng.choice(("update", "update", "drop", "dlq"))
    where, predicate = random_where(rng)
    paths = rng.sample(KEY_PATHS, rng.choice((0, 1, 1, 1, 2, 3)))
    renamed = rng.random() < 0.3
    key = [(f"k{i}" if renamed else path.rsplit(".", 1)[-1], path) for i, path in enumerate(paths)]
    aggregates = {"all": ("count", None)}
    for i in range(rng.randrange(0, 6)):
        function = rng.choice(FUNCTIONS)
        path = None if function == "rate" else rng.choice(ANY_PATHS if function in ANY_TYPE else NUMBER_PATHS)
        constant = (rng.choice(CONSTANTS[function]),) if function in CONSTANTS else ()
        aggregates[f"a{i}"] = (function, path, *constant)
    config = {
        "from": source,
        "window": window,
        "aggregates": {
            n: f"{f}({', '.join(str(a) for a in arguments if a is not None)})"
            for n, (f, *arguments) in aggregates.items()
        },
    }
    if key:
        config["key"] = dict(key) if renamed else [path for _, path in key]
    if where:
        config["where"] = where
    if lateness_s is not None:
        config["allowed_lateness"] = f"{lateness_s}s"
    emit_empty = has_one_partition and "tumbling" in window and rng.random() < 0.3
    if emit_empty:
        config["emit_empty"] = True
    if late != "update" or rng.random() < 0.5:
        config["late"] = late
    return config, Pipeline(
        name,
        size_s * 1_000_000,
        aggregates,
        key,
        predicate,
        (10 if lateness_s is None else lateness_s) * 1_000_000,
        late,
        offset_s * 1_000_000,
        slide_s * 1_000_000,
        emit_empty,
    )


def random_event(rng, time_ms):
    event = {"ts": time_ms}
    user = rng.choice(["u1", "u2", "", 'ü\n"x"', 7, 7.0, -3, 2.5, True, None, "missing"])
    if user != "missing":
        event["user"] = user
    for name, values in (("tag", ("a", "b", "ü", None)), ("flag", (True, False, None))):
        if rng.random() < 0.8:
            event[name] = rng.choice(values)
    if rng.random() < 0.85:
        event["w"] = rng.choice((None, rng.randrange(0, 50)))
    event["n"] = rng.choice((rng.randrange(-1000, 1000), rng.randrange(-1000, 1000), None, "12", True))
    if rng.random() < 0.9:
        event["d"] = rng.choice((rng.uniform(-1, 1), rng.uniform(0, 1e6), rng.gauss(100, 15), 0.1, 1e-300, -0.5))
    event["deep"] = rng.choice(({"m": rng.randrange(100), "k": rng.randrange(3)}, {"m": rng.random()}, {}, None, 5))
    event["big"] = rng.randrange(2**62, 2**63 - 1)
    return event


def random_partition(rng, partition, count, base_ms, span_ms, disorder_ms):
    """(lines, usable rows, number of bad lines) of one partition, in arrival order."""
    lines, rows, bad = [], [], 0
    for i in range(count):
        if rng.random() < 0.03:
            lines.append(rng.choice(BAD_LINES))
            bad += 1
            continue
        time_ms = base_ms + span_ms * i // max(1, count) - int(rng.random() ** 4 * disorder_ms)
        event = random_event(rng, time_ms)
        if rng.random() < 0.3:
            items = list(event.items())
            rng.shuffle(items)
            event = dict(items)
        rows.append(Row(time_ms * 1000, partition, len(lines), event))
        lines.append(
            json.dumps(event, ensure_ascii=rng.random() < 0.5, separators=rng.choice(((",", ":"), (", ", ": "))))
        )
    return lines, rows, bad


def random_stream(rng, partition_count, count, base_ms=BASE_MS):
    """One source's partitions: (lines, rows, bad counts), each a list by partition."""
    span_ms = rng.choice((1_000, 30_000, 600_000, 7_200_000))
    disorder_ms = rng.choice((0, 2_000, 20_000, span_ms))
    made = [
        random_partition(rng, p, rng.randrange(count + 1), base_ms + rng.randrange(1000), span_ms, disorder_ms)
        for p in range(partition_count)
    ]
    return [m[0] for m in made], [m[1] for m in made], [m[2] for m in made]
