#!/usr/bin/env python3
"""Writes the event files of the benchmarks. Seeded: the same arguments give the same bytes.

    make_events.py stable COUNT FILE    one shape, about 201 B: the job of bench/run
    make_events.py mixed COUNT FILE     keys in any order, escapes, other alphabets, nested values

`stable` spreads COUNT events over 120 s of event time, at most 2 s out of order, by 100,000 users in 50 countries,
so that COUNT = 2,000,000 with 10 s windows by user gives about one result for two events.
"""

import json
import random
import sys
from pathlib import Path

SEED = 20261123
START_MS = 1_700_000_000_000
SPAN_MS = 120_000
DISORDER_MS = 2_000
USERS = 100_000
COUNTRIES = [f"{a}{b}" for a in "ABCDE" for b in "KLMNOPRSTV"]
TYPES = ["purchase", "page_view", "click", "add_to_cart", "search"]
PAGES = ["/home", "/search", "/cart", "/checkout", "/product/1178", "/product/20417"]


def stable_events(count, generator):
    rand = generator.random
    for i in range(count):
        amount = 1 + int(rand() * 99_900) / 100
        yield (
            f'{{"event_id":"evt-{i:012d}","event_type":"{TYPES[int(rand() * 5)]}","user_id":"user-{int(rand() * USERS):06d}",'
            f'"session_id":"sess-{int(rand() * 1e6):010d}",'
            f'"timestamp":{START_MS + i * SPAN_MS // count - int(rand() * DISORDER_MS)},'
            f'"properties":{{"amount":{amount:.2f},"page":"{PAGES[int(rand() * 6)]}","country":"{COUNTRIES[int(rand() * 50)]}"}}}}\n'
        )


def mixed_events(count, generator):
    names = [
        "Zoë",
        "naïve",
        'say "hi"',
        "back\\slash",
        "tab\there",
        "日本語",
        "line\nbreak",
        "plain",
        "über",
        "emoji 🙂",
    ]
    for i in range(count):
        properties = [
            ("amount", round(generator.random() * 1000, 2)),
            ("page", generator.choice(PAGES)),
            ("country", generator.choice(COUNTRIES)),
            ("note", generator.choice(names)),
            ("tags", generator.sample(names, 2)),
            ("context", {"depth": {"deeper": [1, 2.5, None, {"ok": True, "level": generator.randrange(9)}]}}),
        ]
        fields = [
            ("event_id", f"evt-{i:012d}"),
            ("event_type", generator.choice(TYPES)),
            ("user_id", f"user-{generator.randrange(USERS):06d}"),
            ("timestamp", START_MS + i * SPAN_MS // count),
            ("label", generator.choice(names)),
        ]
        generator.shuffle(properties)
        fields.append(("properties", dict(properties)))
        generator.shuffle(fields)
        escaped = generator.random() < 0.5
        yield json.dumps(dict(fields), ensure_ascii=escaped, separators=(",", ":")) + "\n"


def write_events(kind, count, path):
    make = {"stable": stable_events, "mixed": mixed_events}[kind]
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(".part")
    with open(part, "w", encoding="utf-8", buffering=1 << 20) as file:
        file.writelines(make(count, random.Random(SEED)))
    part.rename(path)


def main():
    if len(sys.argv) != 4 or sys.argv[1] not in ("stable", "mixed"):
        sys.exit(__doc__)
    write_events(sys.argv[1], int(sys.argv[2]), Path(sys.argv[3]))


if __name__ == "__main__":
    main()
