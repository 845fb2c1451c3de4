"""The HTTP interface: every endpoint, its shapes and its refusals."""

import base64
import http.client
import json
import re
import socket
import time

import pytest
from oracle import weir

T0 = 1_700_000_000_000
MIB = 1024 * 1024


def event(second, **fields):
    return {"ts": T0 + int(second * 1000), "event_type": "click", "user_id": "u1", **fields}


CONFIG = {
    "sources": {
        "s": {"http": {}, "time": "ts", "max_out_of_orderness": "0s", "idle_timeout": "1h"},
        "two": {"http": {"partitions": 2, "partition_by": "user_id"}, "time": "ts", "idle_timeout": "1h"},
        "quiet": {"http": {}, "time": "ts"},
    },
    "pipelines": {
        "p": {
            "from": "s",
            "key": ["country"],
            "window": {"tumbling": "10s"},
            "aggregates": {"n": "count()", "total": "sum(amount)"},
        },
        "q": {"from": "quiet", "window": {"tumbling": "10s"}, "aggregates": {"n": "count()"}},
        "t": {"from": "two", "window": {"tumbling": "10s"}, "aggregates": {"n": "count()"}},
    },
}


@pytest.fixture
def server(make_server):
    return make_server(CONFIG)


@pytest.fixture(scope="module")
def filled(tmp_path_factory):
    """A server with 30 closed windows of three countries, one bad event, and one open window."""
    server = weir.Server(tmp_path_factory.mktemp("filled"), CONFIG)
    with server:
        for i in range(30):
            server.accept(
                "s",
                [
                    event(i * 10 + j, country=country, amount=i + j / 4)
                    for j, country in enumerate(("FR", "DE", "a/b c&d=é"))
                ],
            )
        server.post("s", b"not json")
        server.accept("s", [event(300, country="FR")])
        weir.eventually(lambda: len(server.results("p")) == 90, 20, "90 results")
        yield server


# Ingest ------------------------------------------------------------------------------------------


def ingest(server, body, content_type="application/json"):
    answer = server.post("s", body, content_type)
    return answer.status, (answer.json() if answer.status == 202 else None)


@pytest.mark.parametrize("content_type", ["application/json", "application/x-ndjson", "text/plain"])
def test_body_tells_its_shape_whatever_the_content_type(server, content_type):
    one, many = json.dumps(event(0)), "\n".join(json.dumps(event(i)) for i in range(3))
    array = json.dumps([event(i) for i in range(4)], indent=1)
    for body, count in ((one, 1), (many, 3), (many + "\n", 3), (array, 4), (" \n" + array, 4), ("[]", 0)):
        assert ingest(server, body, content_type) == (202, {"accepted": count, "rejected": 0, "errors": []}), body[:40]
    server.wait_counted("s", "p", 11)


def test_bad_line_is_rejected_alone(server):
    status, value = ingest(server, json.dumps(event(0)) + "\n{oops\n" + json.dumps(event(1)))
    assert (status, value["accepted"], value["rejected"]) == (202, 2, 1)
    assert value["errors"][0]["index"] == 1 and value["errors"][0]["reason"]


@pytest.mark.parametrize("body", [b"", b"\n", b"  \n \n", b"[", b"[1,", b'[{"ts":1}', b'[{"ts":1}] x', b'[{"ts":1},]'])
def test_empty_body_and_broken_array_are_refused_whole(server, body):
    weir.is_problem(server.post("s", body), 400)
    assert server.source("s")["counters"]["in"] == 0


def test_unknown_source_is_404(server):
    weir.is_problem(server.post("nosuch", b"{}"), 404)


def test_body_over_16_mib_is_413_and_up_to_it_is_taken(server):
    line = json.dumps(event(0, pad="x" * 500_000)).encode() + b"\n"
    fitting = line * (16 * MIB // len(line))
    assert server.post("s", fitting).json()["accepted"] == 16 * MIB // len(line)
    answer = server.post("s", fitting + line * 2)
    weir.is_problem(answer, 413)
    server.wait_counted("s", "p", 16 * MIB // len(line))


def test_body_over_16_mib_without_a_length_is_413_too(server):
    connection = server.connect()
    connection.putrequest("POST", "/api/v1/sources/s/events")
    connection.putheader("Transfer-Encoding", "chunked")
    connection.endheaders()
    block = b"x" * MIB
    try:
        for _ in range(18):
            connection.send(b"%x\r\n" % len(block) + block + b"\r\n")
        connection.send(b"0\r\n\r\n")
    except (TimeoutError, ConnectionError):
        pass  # the server may cut what it will not read
    assert connection.getresponse().status == 413


def test_chunked_body_is_taken(server):
    connection = server.connect()
    lines = [json.dumps(event(i)).encode() + b"\n" for i in range(5)]
    whole = b"".join(lines)
    connection.request(
        "POST",
        "/api/v1/sources/s/events",
        iter([whole[:7], whole[7:100], whole[100:]]),
        {"Transfer-Encoding": "chunked"},
        encode_chunked=True,
    )
    answer = connection.getresponse()
    assert answer.status == 202 and json.loads(answer.read())["accepted"] == 5


def test_accepted_events_are_durable_before_the_answer(server):
    """Killed right after the 202: the event is there after a restart."""
    server.accept("s", [event(0, country="FR")])
    server.kill()
    server.start()
    server.accept("s", [event(20, country="FR")])
    (record,) = weir.eventually(lambda: server.results("p"), 15, "the result")
    assert record["values"]["n"] == 1


def test_keep_alive_and_pipelined_requests_are_answered_in_order(server):
    with socket.create_connection(("127.0.0.1", server.port), 10) as raw:
        get = b"GET /api/v1/sources/s HTTP/1.1\r\nHost: x\r\n\r\n"
        raw.sendall(
            get
            + b"GET /nosuch HTTP/1.1\r\nHost: x\r\n\r\n"
            + get.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")
        )
        data = b""
        while more := raw.recv(65536):
            data += more
    assert [int(s) for s in re.findall(rb"HTTP/1\.1 (\d+)", data)] == [200, 404, 200]


def test_expect_100_continue_gets_its_go(server):
    body = json.dumps(event(0)).encode()
    with socket.create_connection(("127.0.0.1", server.port), 10) as raw:
        raw.sendall(
            b"POST /api/v1/sources/s/events HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\n"
            b"Connection: close\r\nContent-Length: %d\r\n\r\n" % len(body)
        )
        assert raw.recv(65536).startswith(b"HTTP/1.1 100")
        raw.sendall(body)
        data = b""
        while more := raw.recv(65536):
            data += more
    assert data.startswith(b"HTTP/1.1 202")


@pytest.mark.parametrize(
    "request_bytes",
    [
        b"GARBAGE\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"GET /\x01 HTTP/1.1\r\nHost: x\r\n\r\n",
        b"POST /api/v1/sources/s/events HTTP/1.1\r\nHost: x\r\nContent-Length: -5\r\n\r\n",
        b"POST /api/v1/sources/s/events HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\nA: " + b"x" * 200_000 + b"\r\n\r\n",
    ],
    ids=["no_http", "version", "control", "negative_length", "two_lengths", "huge_header"],
)
def test_broken_request_gets_an_error_and_hurts_nobody(server, request_bytes):
    with socket.create_connection(("127.0.0.1", server.port), 10) as raw:
        data = b""
        try:
            raw.sendall(request_bytes)
            while more := raw.recv(65536):
                data += more
        except ConnectionError:
            pass
    assert data == b"" or 400 <= int(data.split(b" ", 2)[1]) < 600, data[:200]
    assert server.get("/health").status == 200
    assert server.source("s")["counters"]["in"] == 0


# Results -----------------------------------------------------------------------------------------


def test_results_filter_by_key_and_time(filled):
    mine = filled.results("p", **{"key.country": "FR"})
    assert len(mine) == 30 and {r["key"]["country"] for r in mine} == {"FR"}
    some = filled.results("p", **{"from": T0 + 100_000, "to": T0 + 130_000})
    assert {(r["window_start"] - T0) // 1000 for r in some} == {100, 110, 120}
    odd = filled.results("p", **{"key.country": "a/b c&d=é"})
    assert len(odd) == 30
    assert filled.results("p", **{"key.country": "XX"}) == []


@pytest.mark.parametrize("limit", [1, 7, 90, 1000])
def test_results_pages_give_each_record_once(filled, limit):
    page = filled.get("/api/v1/results/p", limit=limit).json()
    assert set(page) >= {"items", "next_cursor"} and len(page["items"]) == min(limit, 90)
    ids = [r["id"] for r in filled.results("p", limit=limit)]
    assert len(ids) == 90 and len(set(ids)) == 90


def test_results_are_the_records_of_the_contract(filled):
    record = next(r for r in filled.results("p", **{"key.country": "DE"}) if r["window_start"] == T0 + 20_000)
    assert set(record) == {
        "id",
        "pipeline",
        "window_start",
        "window_end",
        "key",
        "values",
        "emit",
        "revision",
        "receipt",
    }
    assert record["values"] == {"n": 1, "total": 2.25}
    assert record["id"] == f'p|["DE"]|{T0 + 20_000}'


@pytest.mark.parametrize("query", ["limit=0", "limit=-1", "limit=x", "from=yesterdayish", "cursor=garbage!"])
def test_results_refuse_a_bad_query(filled, query):
    problem = weir.is_problem(filled.get("/api/v1/results/p?" + query), 400)
    assert query.split("=")[0] in json.dumps(problem), problem


@pytest.mark.parametrize("key", ["x' OR '1'='1", 'x" OR 1=1 --', "'; DROP TABLE results; --", "%", "_", "\x00"])
def test_values_from_outside_are_bound_never_pasted(filled, key):
    assert filled.results("p", **{"key.country": key}) == []
    assert len(filled.results("p")) == 90


@pytest.mark.parametrize("key", ["x') OR 1=1 --", "country') --", "a.b"])
def test_names_from_outside_are_bound_never_pasted(filled, key):
    answer = filled.get("/api/v1/results/p", **{f"key.{key}": "1"})
    assert answer.status == 400 or answer.json()["items"] == []
    assert len(filled.results("p")) == 90


# Events, dead letters ----------------------------------------------------------------------------


def test_events_come_newest_event_time_first_and_filtered(server):
    now_ms = int(time.time() * 1000)
    server.accept(
        "s",
        [
            {"ts": now_ms - age * 1000, "event_type": kind, "user_id": user}
            for age, kind, user in ((50, "a", "u1"), (10, "b", "u2"), (30, "a", "u2"), (20, "c", "u1"))
        ],
    )
    server.accept("s", [{"ts": now_ms - 30 * 3_600_000, "event_type": "a", "user_id": "old"}])
    server.wait_counted("s", "p", 5)

    def ages(**query):
        items = server.items("/api/v1/events", source="s", **query)
        for item in items:
            assert set(item) == {"source", "partition", "offset", "event_time", "event"}, item
            assert item["event_time"] == item["event"]["ts"]
        return [round((now_ms - item["event_time"]) / 1000) for item in items]

    assert ages() == [10, 20, 30, 50], "24 hours by default, newest first"
    assert ages(hours=48)[-1] == 108_000
    assert ages(event_type="a,b") == [10, 30, 50]
    assert ages(user_id="u1") == [20, 50]
    assert ages(event_type="a", user_id="u2") == [30]
    first = server.get("/api/v1/events", source="s", limit=2).json()
    assert len(first["items"]) == 2
    assert ages(limit=1) == [10, 20, 30, 50]


def test_dead_letter_has_source_place_time_reason_and_bytes(filled):
    (letter,) = filled.dead_letters()
    assert set(letter) - {"raw"} >= {"source", "partition", "offset", "time", "reason", "detail", "raw_base64"}
    assert (letter["source"], letter["partition"], letter["offset"]) == ("s", 0, 90)
    assert base64.b64decode(letter["raw_base64"]) == b"not json"


def test_dead_letters_page(server):
    for i in range(25):
        server.post("s", f"bad {i}")
    letters = weir.eventually(
        lambda: (lambda f: f if len(f) == 25 else None)(server.dead_letters(limit=4)), 15, "25 letters"
    )
    assert {letter["raw"] for letter in letters} == {f"bad {i}".encode() for i in range(25)}


def test_late_dlq_dead_letters_with_reason_too_late(make_server):
    config = json.loads(json.dumps(CONFIG))
    config["pipelines"]["p"]["late"] = "dlq"
    server = make_server(config)
    late = json.dumps(event(1, country="FR"))
    server.accept("s", [event(0, country="FR"), event(60, country="FR")])
    server.accept("s", late)
    (letter,) = weir.eventually(server.dead_letters, 15, "the dead letter")
    assert letter["reason"] == "too_late" and letter["raw"] == late.encode() and letter["offset"] == 2
    state = server.source("s")
    assert state["pipelines"]["p"]["too_late"] == 1 and state["counters"]["bad"] == 0


# State of things ---------------------------------------------------------------------------------


def test_source_shows_counters_and_partitions(filled):
    state = filled.source("s")
    weir.check_conservation(state)
    assert state["counters"] == {"in": 92, "bad": 1}
    assert state["pipelines"] == {"p": {"used": 91, "filtered": 0, "too_late": 0}}
    (partition,) = state["partitions"]
    assert partition["partition"] == 0 and partition["watermark"] == T0 + 300_000
    assert partition["idle"] is False and partition["lag"] == 0
    assert partition["offset"] in (91, 92), partition


def test_partition_by_keeps_a_user_in_one_partition(server):
    for i in range(40):
        server.accept("two", [event(i, user_id=f"u{i % 8}")])
    state = server.wait_counted("two", "t", 40)
    assert [p["partition"] for p in state["partitions"]] == [0, 1]
    now = server.items("/api/v1/events", source="two", hours=100_000)
    homes = {}
    for item in now:
        homes.setdefault(item["event"]["user_id"], set()).add(item["partition"])
    assert len(homes) == 8 and all(len(h) == 1 for h in homes.values()) and len(set.union(*homes.values())) == 2


@pytest.mark.parametrize(
    "path, names", [("/api/v1/sources", {"s", "two", "quiet"}), ("/api/v1/pipelines", {"p", "q", "t"})]
)
def test_lists_name_everything(filled, path, names):
    value = filled.get(path).json()
    assert set(value) >= {"items", "next_cursor"}
    assert {item.get("name", item.get("source", item.get("pipeline"))) for item in value["items"]} == names


def test_pipeline_shows_itself(filled):
    answer = filled.get("/api/v1/pipelines/p")
    assert answer.status == 200 and '"p"' in answer.text


@pytest.mark.parametrize(
    "path",
    [
        "/api/v1/results/nosuch",
        "/api/v1/sources/nosuch",
        "/api/v1/pipelines/nosuch",
        "/nosuch",
        "/api/v1/nosuch",
        "/health/nosuch",
        "/api/v1/results/",
        "/../etc/passwd",
        "/%2e%2e/%2e%2e/etc/passwd",
    ],
)
def test_unknown_path_is_a_404_problem(filled, path):
    weir.is_problem(filled.get(path), 404)


@pytest.mark.parametrize(
    "method, path",
    [
        ("DELETE", "/api/v1/sources"),
        ("POST", "/api/v1/results/p"),
        ("PUT", "/health"),
        ("GET", "/api/v1/sources/s/events"),
    ],
)
def test_wrong_method_is_405_and_says_which_are_allowed(filled, method, path):
    answer = filled.request(method, path, b"" if method != "GET" else None)
    weir.is_problem(answer, 405)
    assert answer.headers.get("allow"), answer.headers


@pytest.mark.parametrize("path", ["/health", "/ready", "/metrics", "/api/v1/stats"])
def test_head_has_the_headers_of_get_and_no_body(filled, path):
    answer = filled.request("HEAD", path)
    assert answer.status == 200 and answer.body == b""


def test_stats_are_json(filled):
    assert isinstance(filled.get("/api/v1/stats").json(), dict)


def test_health_is_live_and_names_its_components(filled):
    answer = filled.get("/health")
    assert answer.status == 200
    health = answer.json()
    assert health["status"] in ("ok", "healthy", "up")
    components = health["components"]
    assert components, health
    names = list(components) if isinstance(components, dict) else [c["name"] for c in components]
    assert "store" in names
    for name in names:
        assert filled.get(f"/health/{name}").status == 200
    assert filled.get("/ready").status == 200


SAMPLE = re.compile(
    r'^([a-zA-Z_:][a-zA-Z0-9_:]*)(\{(?:[a-zA-Z_][a-zA-Z0-9_]*="(?:[^"\\\n]|\\["\\n])*",?)*\})? '
    r"(-?\d[0-9.e+-]*|NaN|[+-]Inf)( -?[0-9.]+)?$"
)


def samples(text):
    """name{labels} → value, every line checked against the format."""
    found, typed = {}, set()
    for line in text.splitlines():
        if line.startswith("# TYPE "):
            assert line.split()[2] not in typed, f"{line}: twice"
            typed.add(line.split()[2])
        elif not line.startswith("#"):
            match = SAMPLE.match(line.split(" # ")[0])
            assert match, f"not a sample: {line!r}"
            place = (match[1], match[2] or "")
            assert place not in found, f"{line}: twice"
            found[place] = float(match[3])
    assert typed
    return found


def test_metrics_are_prometheus_text_with_the_events_by_outcome(filled):
    answer = filled.get("/metrics")
    assert answer.headers["content-type"].startswith("text/plain")
    found = samples(answer.text)
    outcomes = {}
    for (name, labels), value in found.items():
        if name == "weir_events_total" and 'source="s"' in labels:
            outcomes[re.search(r'outcome="(\w+)"', labels)[1]] = value
    assert outcomes["used"] == 91 and outcomes["bad"] == 1, outcomes


def test_metrics_are_openmetrics_when_asked_for(filled):
    answer = filled.get("/metrics", headers={"Accept": "application/openmetrics-text; version=1.0.0"})
    assert answer.headers["content-type"].startswith("application/openmetrics-text")
    assert answer.text.endswith("# EOF\n")
    text = answer.text.removesuffix("# EOF\n")
    assert "# TYPE weir_events counter" in text and samples(text)


def test_metrics_have_a_latency_histogram_for_each_stage(filled):
    names = {name for name, _ in samples(filled.get("/metrics").text)}
    assert any(name.endswith("_bucket") and "latency" in name for name in names), sorted(names)


def test_page_is_served_with_a_strict_policy(filled):
    answer = filled.get("/")
    assert answer.status == 200 and answer.headers["content-type"].startswith("text/html")
    policy = answer.headers["content-security-policy"]
    assert "default-src" in policy and "unsafe-eval" not in policy
    assert answer.headers.get("x-content-type-options") == "nosniff"


def test_many_connections_at_once_are_served(server):
    connections = [http.client.HTTPConnection("127.0.0.1", server.port, timeout=20) for _ in range(200)]
    try:
        for connection in connections:
            connection.request("GET", "/health")
        assert [c.getresponse().status for c in connections] == [200] * 200
    finally:
        for connection in connections:
            connection.close()
