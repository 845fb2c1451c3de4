"""Events that break the schema of their source are bad, wherever they come from, and an independent JSON Schema validator agrees which do."""

import json
import re

import jsonschema
import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from oracle import weir

TIME_MS = 1_700_000_000_000
PIPELINES = {"p": {"from": "s", "key": ["i"], "window": {"tumbling": "10s"}, "aggregates": {"n": "count()"}}}


def config_of(schema, source=None, **schemas):
    source = {**(source or {"http": {}}), "time": "timestamp", "schema": schema, "idle_timeout": "1h"}
    config = {"sources": {"s": source}, "pipelines": PIPELINES}
    return {**config, "schemas": schemas} if schemas else config


ORDER = {
    "fields": {
        "order_id": {"type": "string", "required": True, "pattern": "^o[0-9]+$"},
        "amount": {"type": "number", "required": True, "min": 0},
        "customer.country": {"type": "string", "required": True, "enum": ["DE", "FR"]},
    }
}


def order(i, **changes):
    event = {"i": i, "timestamp": TIME_MS + i, "order_id": f"o{i}", "amount": 5, "customer": {"country": "DE"}}
    event.update(changes)
    return event


# Event, and what its dead letter says.
BAD = [
    (order(1, order_id="x"), 'order_id: expected string that matches ^o[0-9]+$, found "x"'),
    (order(2, order_id=7), "order_id: expected string, found 7"),
    (order(3, amount=-0.5), "amount: expected number at least 0, found -0.5"),
    (order(4, amount=None), "amount: expected number, found null"),
    (order(5, customer={}), 'customer.country is missing, expected one of "DE", "FR"'),
    (order(6, customer={"country": "IT"}), 'customer.country: expected one of "DE", "FR", found "IT"'),
    (order(7, customer=None), "customer: expected object, found null"),
]
GOOD = [order(20 + i, amount=i / 2, note=None) for i in range(20)]


def lines(events):
    return [json.dumps(event, separators=(",", ":")).encode() for event in events]


def mixed():
    return lines(GOOD[:10] + [event for event, _ in BAD] + GOOD[10:])


def good_keys(records):
    return sorted(record["key"]["i"] for record in records)


@pytest.mark.parametrize("batch_size", [1, 5, 1024])
def test_replay_leaves_bad_events_out_and_counts_them(tmp_path, batch_size):
    config = weir.write_config(tmp_path, config_of("order", order=ORDER))
    path = tmp_path / "in.ndjson"
    path.write_bytes(b"\n".join(mixed()))
    answer = weir.replay(config, {"s": path}, env={"WEIR_ENGINE__BATCH_SIZE": str(batch_size)})
    state = answer.source("s")
    weir.check_conservation(state)
    assert state["counters"] == {"in": len(GOOD) + len(BAD), "bad": len(BAD)}
    assert state["bad_by_reason"] == {"schema": len(BAD)}
    assert good_keys(answer.records) == [event["i"] for event in GOOD]


def test_partitions_of_a_file_see_the_same_events(tmp_path):
    config = config_of("order", {"file": {"path": "x", "partitions": 3, "partition_by": "i"}}, order=ORDER)
    config["engine"] = {"shards": 2}
    path = tmp_path / "in.ndjson"
    path.write_bytes(b"\n".join(mixed()))
    answer = weir.replay(weir.write_config(tmp_path, config), {"s": path})
    assert answer.source("s")["bad_by_reason"] == {"schema": len(BAD)}
    assert good_keys(answer.records) == [event["i"] for event in GOOD]


def test_http_rejects_bad_events_alone_and_keeps_them_with_their_bytes(make_server):
    server = make_server(config_of("order", order=ORDER))
    answer = server.post("s", b"\n".join(mixed()))
    assert answer.status == 202, answer
    value = answer.json()
    assert (value["accepted"], value["rejected"]) == (len(GOOD), len(BAD))
    want = [{"index": 10 + i, "reason": "schema", "detail": detail} for i, (_, detail) in enumerate(BAD)]
    assert value["errors"] == want

    state = server.wait_counted("s", "p", len(GOOD) + len(BAD))
    assert state["bad_by_reason"]["schema"] == len(BAD)

    def all_letters():
        found = server.dead_letters()
        return found if len(found) == len(BAD) else None

    letters = sorted(weir.eventually(all_letters, 10, "dead letters"), key=lambda letter: letter["offset"])
    assert [letter["raw"] for letter in letters] == lines(event for event, _ in BAD)
    assert [letter["detail"] for letter in letters] == [detail for _, detail in BAD]
    assert {letter["reason"] for letter in letters} == {"schema"}

    def events():
        items = server.get("/api/v1/events", source="s", hours="100000", limit="100").json()["items"]
        return sorted(item["event"]["i"] for item in items)

    assert events() == [event["i"] for event in GOOD]


def test_restart_leaves_the_same_events_out_and_no_dead_letter_twice(make_server):
    server = make_server(config_of("order", order=ORDER))
    server.post("s", b"\n".join(mixed()))
    weir.eventually(lambda: len(server.dead_letters()) == len(BAD), 10, "dead letters")
    server.kill()
    server.start()
    later = TIME_MS + 60_000
    server.accept("s", lines([order(90, timestamp=later)])[0])

    def closed():
        return [record for record in server.results("p") if record["window_start"] < later]

    weir.eventually(lambda: good_keys(closed()) == [event["i"] for event in GOOD], 20, "the windows before")
    assert all(record["values"]["n"] == 1 for record in closed())
    assert len(server.dead_letters()) == len(BAD)


def test_check_names_an_unknown_schema_and_the_nearest_one(tmp_path):
    config = weir.write_config(tmp_path, config_of("user_acton"))
    done = weir.run("check", config)
    assert done.returncode == 78
    assert re.search(
        r"weir\.yaml:\d+:\d+: error: .*there is no schema `user_acton`; did you mean `user_action`\?", done.stderr
    )


def test_check_warns_of_a_version_that_breaks_its_producers(tmp_path):
    (tmp_path / "schemas").mkdir()
    (tmp_path / "schemas" / "order@1.json").write_text('{"properties": {"amount": {"type": "number"}}}')
    (tmp_path / "schemas" / "order@2.json").write_text(
        '{\n  "required": ["amount"],\n  "properties": {\n    "amount": {"type": "integer"}\n  }\n}\n'
    )
    done = weir.run("check", weir.write_config(tmp_path, config_of("order")))
    assert done.returncode == 0, done.stderr
    where = str(tmp_path / "schemas" / "order@2.json") + ":4:6: warning: order@2 breaks producers of order@1: `amount` "
    assert where + "is required now" in done.stderr
    assert where + "may not be of type number with a fraction any more" in done.stderr


def test_shown_config_is_the_same_config(tmp_path):
    schemas = {
        "order": ORDER,
        "order@2": {
            "extends": "order@1",
            "fields": {"n": {"type": "any", "enum": [1, "1", True, "x y"], "required": False}},
        },
        "m": {"fields": {"v": {"type": ["number", "string"], "min": -1.5, "max": 1e6, "max_length": 3}}},
    }
    config = weir.write_config(tmp_path, config_of("order@2", **schemas))
    shown = weir.run("config", "show", config)
    assert shown.returncode == 0, shown.stderr
    again = weir.write_config(tmp_path, shown.stdout, "again.yaml")
    assert weir.run("config", "show", again).stdout.split("\n")[0]
    value = json.loads(weir.run("config", "show", again, "--format", "json").stdout)["config"]["schemas"]
    assert value["order@2"]["fields"]["n"]["enum"] == [1, "1", True, "x y"]
    assert value["m"]["fields"]["v"]["min"] == -1.5 and value["m"]["fields"]["v"]["max_length"] == 3


def test_page_about_schemas_says_what_happens(make_server):
    page = (weir.ROOT / "docs" / "SCHEMAS.md").read_text()
    text = (weir.ROOT / "examples" / "schemas.yaml").read_text()
    (fields,) = re.findall(r"```yaml\nsources:\n.*?\n(schemas:\n.*?)```", page, re.DOTALL)
    assert fields in text, "the example on the page is another than the file"
    body, answer = re.search(r"--data-binary @- <<EOF\n(.*?)\nEOF\n(.*?)\n```", page, re.DOTALL).groups()
    server = make_server(yaml.safe_load(text))
    got = server.post("orders", body.replace("$(date +%s)", str(TIME_MS // 1000)))
    assert got.json() == json.loads(answer)


# --- an independent validator ------------------------------------------------------------------------------------------

NAMES = ["a", "b", "c", "ä", "odd name", "x.y"]
# Beyond 64 bits numbers are doubles here and not there, so bounds and values stay well inside.
NUMBERS = st.one_of(
    st.integers(-5, 5), st.sampled_from([0.5, -0.5, 1.0, 2.0, 2.5, -0.0, 1e15, 2**53, 2**53 + 1, -(2**62)])
)
TEXTS = st.one_of(st.sampled_from(["", "a", "ab", "é", "😀😀", "1", "o12"]), st.text(max_size=4))
LEAVES = st.one_of(st.none(), st.booleans(), NUMBERS, TEXTS, st.just([]), st.just([1, "x"]))
TYPES = ["string", "number", "integer", "boolean", "object", "array", "null"]
VALUES = st.recursive(
    LEAVES, lambda children: st.dictionaries(st.sampled_from(NAMES + ["stranger"]), children, max_size=4), max_leaves=6
)


def unique(values):
    """JSON Schema wants the values of `enum` to differ, and 1 does not differ from 1.0."""
    found = []
    for value in values:
        if not any(v == value and isinstance(v, bool) == isinstance(value, bool) for v in found):
            found.append(value)
    return found


@st.composite
def rules(draw, depth=0):
    rule = {}
    if draw(st.booleans()):
        types = draw(st.lists(st.sampled_from(TYPES), min_size=1, max_size=3, unique=True))
        rule["type"] = types[0] if len(types) == 1 else types
    for keyword in draw(
        st.lists(
            st.sampled_from(["enum", "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "pattern"]
                            + ["minLength", "maxLength", "minProperties", "properties", "properties"]),
            max_size=3,
        )
    ):  # fmt: skip
        if keyword == "enum":
            scalars = st.one_of(st.none(), st.booleans(), NUMBERS, TEXTS)
            rule["enum"] = unique(draw(st.lists(scalars, min_size=1, max_size=12)))
        elif keyword == "pattern":
            rule["pattern"] = draw(st.sampled_from(["^a", "b", "^[a-z]*[0-9]+", "^.{2}$", "[^a]", "é|1"]))
        elif keyword == "properties":
            if depth < 3:
                rule.update(draw(members(depth)))
        elif keyword.startswith(("minL", "maxL", "minP")):
            rule[keyword] = draw(st.integers(0, 3))
        else:
            rule[keyword] = draw(NUMBERS)
    return rule


@st.composite
def members(draw, depth):
    names = draw(st.lists(st.sampled_from(NAMES), max_size=4, unique=True))
    rule = {"properties": {name: draw(rules(depth + 1)) for name in names}}
    required = draw(st.lists(st.sampled_from(NAMES), max_size=2, unique=True))
    if required:
        rule["required"] = required
    if draw(st.integers(0, 3)) == 0:
        rule["additionalProperties"] = draw(st.booleans())
    return rule


@st.composite
def fitting(draw, rule):
    """A value that has a chance: of the asked type, with the members that are spoken of."""
    if draw(st.integers(0, 3)) == 0:
        return draw(VALUES)
    if "enum" in rule and draw(st.integers(0, 3)):
        return draw(st.sampled_from(rule["enum"]))
    types = rule.get("type", "object" if "properties" in rule else draw(st.sampled_from(TYPES)))
    kind = types if isinstance(types, str) else draw(st.sampled_from(types))
    if kind == "object":
        value = {}
        for name, member in rule.get("properties", {}).items():
            if name in rule.get("required", []) or draw(st.booleans()):
                value[name] = draw(fitting(member))
        for name in rule.get("required", []):
            if name not in value and draw(st.integers(0, 3)):
                value[name] = draw(LEAVES)
        if draw(st.integers(0, 4)) == 0:
            value["stranger"] = draw(LEAVES)
        return value
    return draw(
        {
            "string": TEXTS,
            "number": NUMBERS,
            "integer": NUMBERS,
            "boolean": st.booleans(),
            "array": st.sampled_from([[], [1]]),
            "null": st.none(),
        }[kind]
    )


@st.composite
def schemas_and_events(draw):
    schema = {"$schema": "https://json-schema.org/draft/2020-12/schema", "type": "object", **draw(members(0))}
    if draw(st.integers(0, 3)) == 0:
        schema["minProperties"] = draw(st.integers(0, 6))
    # Members that weir itself needs; with them an event is one, and known by its number.
    schema["properties"] = {**schema["properties"], "i": {}, "timestamp": {}}
    events = draw(st.lists(fitting({k: v for k, v in schema.items() if k != "enum"}), min_size=4, max_size=12))
    return schema, [
        {**(event if isinstance(event, dict) else {"a": event}), "i": i, "timestamp": TIME_MS}
        for i, event in enumerate(events)
    ]


@settings(max_examples=250, deadline=None, suppress_health_check=list(HealthCheck), print_blob=True)
@given(case=schemas_and_events())
def test_verdicts_are_those_of_an_independent_json_schema_validator(tmp_path_factory, case):
    schema, events = case
    folder = tmp_path_factory.mktemp("oracle")
    (folder / "schemas").mkdir()
    (folder / "schemas" / "t.json").write_text(json.dumps(schema, ensure_ascii=False, indent=1), encoding="utf-8")
    config = weir.write_config(folder, config_of("t"))
    path = folder / "in.ndjson"
    # Twice each, so that documents are read on the fast path as well.
    path.write_text(
        "".join(json.dumps(e, ensure_ascii=i % 2 == 0) + "\n" for i, e in enumerate(events) for _ in (0, 1))
    )
    validator = jsonschema.Draft202012Validator(schema)
    want = [event["i"] for event in events if validator.is_valid(event)]
    answer = weir.replay(config, {"s": path})
    assert good_keys(answer.records) == want, (schema, events)
    assert all(record["values"]["n"] == 2 for record in answer.records)
