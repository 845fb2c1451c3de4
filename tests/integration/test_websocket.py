"""The WebSocket interface: the table of messages, filters, resuming, limits and close codes."""

import json
import socket
import time
import uuid

import pytest
from oracle import weir
from oracle.websocket import Client, RawClient, is_delivery
from websockets.exceptions import ConnectionClosed

T0 = 1_700_000_000_000
KINDS = ["events", "metrics", "alerts", "predictions", "aggregations", "system_status"]


def config_of(**server):
    # The limits under test are set by each test; the rest must not get in the way.
    return {
        "server": {"rate_limit_per_minute": 0, **server},
        "sources": {"s": {"http": {}, "time": "ts", "max_out_of_orderness": "0s", "idle_timeout": "1h"}},
        "pipelines": {
            "p": {
                "from": "s",
                "key": ["country"],
                "window": {"tumbling": "10s"},
                "aggregates": {"n": "count()", "total": "sum(amount)"},
            },
            "fast": {"from": "s", "window": {"tumbling": "1s"}, "aggregates": {"n": "count()"}},
        },
    }


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    """A server for tests that leave no trace: each takes windows of its own by `clock`."""
    server = weir.Server(tmp_path_factory.mktemp("shared"), config_of())
    with server:
        server.second = 0
        yield server


def event(second, **fields):
    return {"ts": T0 + int(second * 1000), "country": "FR", "amount": 1, **fields}


def close_windows(server, *events_fields, size=10):
    """Sends events into a fresh window of the shared server, then one event that closes it."""
    start = server.second
    server.second += 100
    events = [
        event(start + 20 + i * size / (len(events_fields) + 1), **fields) for i, fields in enumerate(events_fields)
    ]
    server.accept("s", [*events, event(start + 60, country="closer")])
    return T0 + (start + 20) * 1000


def results(client, subscription, count, **options):
    return [m["data"]["result"] for m in client.deliveries(subscription, count, **options)]


def results_of_window(client, subscription, start, count):
    """The next `count` records of one window; those of windows that closed besides are left out."""
    found = []
    while len(found) < count:
        found += [r for r in results(client, subscription, 1) if r["window_start"] == start]
    return found


# The table ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["/", "/ws"])
def test_upgrade_works_on_both_paths(shared, path):
    with Client(shared, path) as client:
        assert client.call({"type": "ping"}, "pong")["type"] == "pong"


def test_every_message_has_the_envelope(shared):
    with Client(shared) as client:
        pong = client.call({"type": "ping"}, "pong")
        assert set(pong) <= {"type", "data", "subscription_id", "timestamp", "metadata"} and pong["timestamp"]


def test_auth_is_answered_auth_success_when_auth_is_off(shared):
    with Client(shared) as client:
        answer = client.call({"type": "auth", "data": {"token": "anything"}}, "auth_success")
        assert set(answer["data"]) >= {"client_id", "user_id", "session_id"}


@pytest.mark.parametrize("kind", KINDS)
def test_every_subscription_type_is_confirmed(shared, kind):
    with Client(shared) as client:
        confirmed = client.subscribe(kind, filters={})
        assert confirmed["data"]["subscription_type"] == kind
        other = client.subscribe(kind)
        assert other["subscription_id"] != confirmed["subscription_id"]


def test_unsubscribe_is_confirmed_and_ends_deliveries(shared):
    with Client(shared) as client:
        gone, kept = (client.subscribe("aggregations", filters={"pipeline": "p"})["subscription_id"] for _ in range(2))
        client.send({"type": "unsubscribe", "data": {"subscription_id": gone}})
        answer = client.wait(lambda m: (m.get("data") or {}).get("status") == "unsubscribed")
        assert answer["type"] == "data"
        close_windows(shared, {})
        results(client, kept, 1)
        assert not any(m.get("subscription_id") == gone and is_delivery(m) for m in client.kept)


@pytest.mark.parametrize(
    "message",
    [
        "{not json",
        "",
        "[]",
        "5",
        "null",
        '"ping"',
        "{}",
        '{"type":5}',
        '{"type":"nosuch"}',
        '{"type":"subscribe"}',
        '{"type":"subscribe","data":{}}',
        '{"type":"subscribe","data":{"type":"nosuch"}}',
        '{"type":"subscribe","data":[]}',
        '{"type":"unsubscribe","data":{"subscription_id":"nosuch"}}',
        '{"type":"unsubscribe"}',
        '{"type":"ping"} x',
        '{"type":"subscribe","data":{"type":"events","filters":"x"}}',
        '{"type":"subscribe","data":{"type":"events","where":"1 +"}}',
        '{"type":"subscribe","data":{"type":"events","where":5}}',
        '{"type":"subscribe","data":{"type":"aggregations","conflate":"soon"}}',
        '{"type":"subscribe","data":{"type":"events","filters":' + "[" * 500 + "]" * 500 + "}}",
    ],
)
def test_anything_else_is_answered_error_and_the_connection_stays_open(shared, message):
    with Client(shared) as client:
        answer = client.call(message, "error")
        assert answer["data"]["error"] and isinstance(answer["data"]["error"], str)
        client.call({"type": "ping"}, "pong")


# Deliveries --------------------------------------------------------------------------------------


def test_aggregations_deliver_the_record_that_http_gives(shared):
    with Client(shared) as client:
        confirmed = client.subscribe("aggregations", filters={"pipeline": "p", "key.country": "FR"})
        start = close_windows(shared, {"amount": 2}, {"amount": 5})
        (message,) = client.deliveries(confirmed["subscription_id"], 1)
        assert message["type"] == "data" and message["timestamp"] and message["metadata"]["position"]
        assert message["data"]["subscription_type"] == "aggregations"
        record = message["data"]["result"]
        assert record["values"] == {"n": 2, "total": 7} and record["window_start"] == start
        weir.eventually(lambda: record in shared.results("p", **{"key.country": "FR"}), 10, "the same record by HTTP")


def test_events_deliver_the_event(shared):
    with Client(shared) as client:
        mark = uuid.uuid4().hex
        subscription = client.subscribe("events", filters={"mark": mark})["subscription_id"]
        close_windows(shared, {"mark": mark, "nested": {"a": [1, "ü"]}}, {"mark": "other"})
        (message,) = client.deliveries(subscription, 1)
        assert message["data"]["subscription_type"] == "events" and message["metadata"]["position"]
        assert message["data"]["event"]["mark"] == mark and message["data"]["event"]["nested"] == {"a": [1, "ü"]}


@pytest.mark.parametrize("kind, field", [("metrics", "metrics"), ("system_status", "system")])
def test_metrics_and_system_status_come_each_second(shared, kind, field):
    with Client(shared) as client:
        subscription = client.subscribe(kind)["subscription_id"]
        begin = time.monotonic()
        messages = client.deliveries(subscription, 3)
        assert all(isinstance(m["data"][field], dict) and m["data"][field] for m in messages)
        assert 1.5 < time.monotonic() - begin < 6


@pytest.mark.parametrize(
    "filters, wanted",
    [
        ({"pipeline": "p"}, {"FR", "DE", "IT", None}),
        ({"pipeline": "p", "key.country": "DE"}, {"DE"}),
        ({"pipeline": "p", "key.country": ["DE", "IT"]}, {"DE", "IT"}),
        ({"pipeline": ["p", "nosuch"], "key.country": "IT"}, {"IT"}),
        ({"pipeline": "p", "values.total": 7}, {"DE"}),
        ({"pipeline": "p", "values.n": [2, 3]}, {"IT"}),
        ({"pipeline": "p", "emit": "final", "revision": 0, "key.country": "FR"}, {"FR"}),
        ({"pipeline": "p", "key.country": None}, {None}),
    ],
)
def test_filters_are_exact_and_an_array_means_any_of(shared, filters, wanted):
    with Client(shared) as client:
        subscription = client.subscribe("aggregations", filters=filters)["subscription_id"]
        everything = client.subscribe("aggregations", filters={"pipeline": "p"})["subscription_id"]
        start = close_windows(
            shared,
            {"country": "FR"},
            {"country": "DE", "amount": 7},
            {"country": "IT"},
            {"country": "IT"},
            {"country": None},
        )
        results_of_window(client, everything, start, 4)
        got = results_of_window(client, subscription, start, len(wanted))
        assert {r["key"]["country"] for r in got} == wanted
        client.call({"type": "ping"}, "pong")
        assert not any(
            is_delivery(m) and m["subscription_id"] == subscription and m["data"]["result"]["window_start"] == start
            for m in client.kept
        )


def test_where_is_an_expression_over_what_is_delivered(shared):
    with Client(shared) as client:
        subscription = client.subscribe(
            "aggregations", where='pipeline == "p" && values.total > 5 && key.country != "IT"'
        )
        start = close_windows(shared, {"country": "FR"}, {"country": "DE", "amount": 7}, {"country": "IT", "amount": 9})
        (record,) = results(client, subscription["subscription_id"], 1)
        assert (record["window_start"], record["key"]["country"]) == (start, "DE")


def test_where_over_events(shared):
    with Client(shared) as client:
        mark = uuid.uuid4().hex
        subscription = client.subscribe("events", where=f'mark == "{mark}" && amount * 2 > 7')["subscription_id"]
        close_windows(shared, {"mark": mark, "amount": 3}, {"mark": mark, "amount": 4}, {"amount": 9})
        (message,) = client.deliveries(subscription, 1)
        assert message["data"]["event"]["amount"] == 4


def test_error_of_a_bad_where_names_the_place(shared):
    with Client(shared) as client:
        answer = client.call({"type": "subscribe", "data": {"type": "events", "where": "amount > > 1"}}, "error")
        assert ">" in answer["data"]["error"]


def test_snapshot_comes_after_the_confirmation_and_before_live_rows(shared):
    start = close_windows(shared, {"country": "SNAP", "amount": 4})
    weir.eventually(lambda: shared.results("p", **{"key.country": "SNAP"}), 10, "the record")
    with Client(shared) as client:
        client.send(
            {
                "type": "subscribe",
                "data": {"type": "aggregations", "snapshot": True, "filters": {"pipeline": "p", "key.country": "SNAP"}},
            }
        )
        first = client.receive()
        assert first["data"].get("status") == "subscribed"
        (row,) = client.deliveries(first["subscription_id"], 1)
        assert row["data"]["result"]["window_start"] == start and row["metadata"]["position"]
        later = close_windows(shared, {"country": "SNAP"})
        assert results(client, first["subscription_id"], 1)[0]["window_start"] == later


def test_conflated_subscription_gets_the_newest_per_key_at_most_that_often(make_server):
    server = make_server(config_of())
    with Client(server) as client:
        subscription = client.subscribe("aggregations", filters={"pipeline": "fast"}, conflate="300ms")[
            "subscription_id"
        ]
        begin = time.monotonic()
        for second in range(200):
            server.accept("s", [event(second)])
        end = time.monotonic()
        got, newest = [], None
        while newest != T0 + 198_000:
            got += results(client, subscription, 1)
            newest = got[-1]["window_start"]
        assert len(got) <= (end - begin + 2) / 0.3 + 2, "more often than asked for"
        assert [r["window_start"] for r in got] == sorted(r["window_start"] for r in got)


def test_batched_subscription_gets_arrays_of_message_objects(make_server):
    server = make_server(config_of())
    with Client(server) as client:
        subscription = client.subscribe("aggregations", filters={"pipeline": "fast"}, batch=True)["subscription_id"]
        server.accept("s", [event(second) for second in range(300)])
        seen, sizes = [], []
        while len(seen) < 299:
            message = client.receive()
            if (message.get("data") or {}).get("batch"):
                sizes.append(len(message["data"]["messages"]))
                seen += message["data"]["messages"]
        assert max(sizes) <= 50 and max(sizes) > 1
        assert [m["data"]["result"]["window_start"] for m in seen] == [T0 + i * 1000 for i in range(299)]
        assert all(m["type"] == "data" and m["subscription_id"] == subscription for m in seen)


# Positions ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("restart", ["no_restart", "terminate", "kill"])
def test_since_delivers_what_was_missed(make_server, restart):
    server = make_server(config_of())
    with Client(server) as client:
        subscription = client.subscribe("aggregations", filters={"pipeline": "fast"})["subscription_id"]
        server.accept("s", [event(s) for s in range(6)])
        position = client.deliveries(subscription, 3)[-1]["metadata"]["position"]
    server.accept("s", [event(s) for s in range(6, 11)])
    weir.eventually(lambda: len(server.results("fast")) == 10, 15, "10 results")
    if restart == "terminate":
        assert server.terminate() == 0
        server.start()
    elif restart == "kill":
        server.kill()
        server.start()
    with Client(server) as client:
        client.send(
            {"type": "subscribe", "data": {"type": "aggregations", "filters": {"pipeline": "fast"}, "since": position}}
        )
        confirmed = client.receive()
        assert confirmed["data"]["status"] == "subscribed" and confirmed["data"].get("recovered") is not False
        seen = set()
        # A row may come again; none may be missing.
        while len(seen) < 7:
            record = results(client, confirmed["subscription_id"], 1)[0]
            seen.add((record["window_start"] - T0) // 1000)
            assert seen <= set(range(3, 10)), seen
        server.accept("s", [event(12)])
        assert (results(client, confirmed["subscription_id"], 1)[0]["window_start"] - T0) // 1000 == 10


def test_position_of_a_snapshot_row_is_good_for_since(make_server):
    server = make_server(config_of())
    server.accept("s", [event(s) for s in range(4)])
    weir.eventually(lambda: len(server.results("fast")) == 3, 15, "3 results")
    with Client(server) as client:
        subscription = client.subscribe("aggregations", filters={"pipeline": "fast"}, snapshot=True)["subscription_id"]
        position = client.deliveries(subscription, 1)[-1]["metadata"]["position"]
    server.accept("s", [event(4)])
    with Client(server) as client:
        confirmed = client.subscribe("aggregations", filters={"pipeline": "fast"}, since=position)
        assert confirmed["data"].get("recovered") is not False
        while results(client, confirmed["subscription_id"], 1)[0]["window_start"] != T0 + 3000:
            pass


@pytest.mark.parametrize("position", ["nonsense", "", "AAAA", 5, "9" * 4000])
def test_unknown_position_is_confirmed_as_not_recovered(shared, position):
    with Client(shared) as client:
        client.send({"type": "subscribe", "data": {"type": "aggregations", "since": position}})
        answer = client.receive()
        if isinstance(position, int):
            assert answer["type"] == "error" or answer["data"]["recovered"] is False
        else:
            assert answer["data"]["status"] == "subscribed" and answer["data"]["recovered"] is False


# Rules -------------------------------------------------------------------------------------------


def test_own_origin_and_no_origin_pass(shared):
    for origin in (None, f"http://127.0.0.1:{shared.port}"):
        with Client(shared, origin=origin) as client:
            client.call({"type": "ping"}, "pong")


@pytest.mark.parametrize(
    "origin", ["http://evil.example", "null", "http://127.0.0.1:1", "http://127.0.0.1.evil.example"]
)
def test_foreign_origin_is_accepted_and_closed_1008(shared, origin):
    with Client(shared, origin=origin) as client:
        assert client.wait_closed() == (1008, "Origin not allowed")


def test_listed_origin_and_star_pass(make_server):
    server = make_server(config_of(allowed_origins=["https://dash.example"]))
    with Client(server, origin="https://dash.example") as client:
        client.call({"type": "ping"}, "pong")
    with Client(server, origin="https://other.example") as client:
        assert client.wait_closed()[0] == 1008
    server = make_server(config_of(allowed_origins=["*"]))
    with Client(server, origin="https://any.example") as client:
        client.call({"type": "ping"}, "pong")


def test_capacity_counts_websockets_only_and_closes_1013(make_server):
    server = make_server(config_of(max_connections=3))
    clients = [Client(server) for _ in range(3)]
    try:
        for client in clients:
            client.call({"type": "ping"}, "pong")
        with Client(server) as one_more:
            assert one_more.wait_closed()[0] == 1013
        assert server.get("/health").status == 200
        clients.pop().socket.close()

        def fits_again():
            with Client(server) as client:
                return not closed(client)

        weir.eventually(fits_again, 10, "room for one")
    finally:
        for client in clients:
            client.socket.close()


def closed(client):
    """Whether the server closes the connection rather than answering a ping."""
    try:
        client.send({"type": "ping"})
        client.receive()
        return False
    except ConnectionClosed:
        return True


def test_61st_message_in_a_minute_is_answered_rate_limit(make_server):
    server = make_server(config_of(rate_limit_per_minute=60))
    with Client(server) as client:
        for _ in range(60):
            client.call({"type": "ping"}, "pong")
        client.socket.ping().wait(5)
        answer = client.call({"type": "ping"}, "error")
        assert answer["data"]["error"] == "Rate limit exceeded"
    with Client(server) as other:
        other.call({"type": "ping"}, "pong")


def test_message_over_1_mib_is_closed_1009(shared):
    with Client(shared) as client:
        client.call(json.dumps({"type": "ping", "data": {"pad": "x" * (1024 * 1024 - 100)}}), "pong")
        client.send("x" * (1024 * 1024 + 1))
        assert client.wait_closed()[0] == 1009


def test_fragments_over_1_mib_are_closed_1009(shared):
    with RawClient(shared) as raw:
        raw.send_frame(1, b"x" * 600_000, fin=False)
        raw.send_frame(0, b"x" * 600_000, fin=True)
        assert raw.read_close()[0] == 1009


def test_announced_giant_frame_is_closed_1009_without_waiting_for_it(shared):
    with RawClient(shared) as raw:
        raw.send_frame(1, b"x", declared_size=2**40)
        assert raw.read_close()[0] == 1009


def test_binary_message_is_closed_1003(shared):
    with Client(shared) as client:
        client.send(b'{"type":"ping"}')
        assert client.wait_closed()[0] == 1003


def test_129th_subscription_is_refused(shared):
    with Client(shared) as client:
        for _ in range(128):
            client.subscribe("alerts")
        answer = client.call({"type": "subscribe", "data": {"type": "alerts"}}, "error")
        assert answer["data"]["error"]
        client.call({"type": "ping"}, "pong")


def test_client_that_answers_no_ping_is_cut(shared):
    """A ping after 20 s of silence, 10 s to answer it."""
    with RawClient(shared) as raw:
        raw.socket.settimeout(45)
        opcode, _ = raw.read_frame()
        assert opcode == 9
        begin = time.monotonic()
        raw.read_close()
        assert 5 < time.monotonic() - begin < 20


# Protocol (RFC 6455) -----------------------------------------------------------------------------


def test_client_ping_gets_its_payload_back(shared):
    with RawClient(shared) as raw:
        raw.send_frame(9, b"payload")
        assert raw.read_frame() == (10, b"payload")


def test_fragmented_message_with_a_ping_inside_is_one_message(shared):
    with RawClient(shared) as raw:
        raw.send_frame(1, b'{"type":', fin=False)
        raw.send_frame(9, b"p")
        raw.send_frame(0, b'"ping"', fin=False)
        raw.send_frame(0, b"}")
        assert raw.read_frame() == (10, b"p")
        opcode, payload = raw.read_frame()
        assert opcode == 1 and json.loads(payload)["type"] == "pong"


def test_close_is_answered_with_its_code_and_the_socket_ends(shared):
    with RawClient(shared) as raw:
        raw.send_frame(8, b"\x03\xe8bye")
        assert raw.read_close()[0] == 1000
        assert raw.socket.recv(100) == b""


@pytest.mark.parametrize(
    "send, code",
    [
        (lambda raw: raw.send_frame(1, b"{}", masked=False), 1002),
        (lambda raw: raw.send_frame(1, b"{}", rsv=4), 1002),
        (lambda raw: raw.send_frame(3, b"{}"), 1002),
        (lambda raw: raw.send_frame(11, b""), 1002),
        (lambda raw: raw.send_frame(0, b"{}"), 1002),
        (lambda raw: raw.send_frame(9, b"x" * 126), 1002),
        (lambda raw: raw.send_frame(9, b"x", fin=False), 1002),
        (lambda raw: raw.send_frame(8, b"\x03"), 1002),
        (lambda raw: raw.send_frame(8, b"\x00\x01"), 1002),
        (lambda raw: raw.send_frame(1, b"\xff\xfe"), 1007),
        (lambda raw: (raw.send_frame(1, b"{", fin=False), raw.send_frame(1, b"}")), 1002),
    ],
    ids=[
        "unmasked",
        "reserved_bit",
        "reserved_opcode",
        "reserved_control",
        "continuation_of_nothing",
        "long_ping",
        "fragmented_ping",
        "one_byte_close",
        "close_code_1",
        "bad_utf8",
        "message_inside_a_message",
    ],
)
def test_protocol_error_is_closed_with_its_code(shared, send, code):
    with RawClient(shared) as raw:
        send(raw)
        assert raw.read_close()[0] == code
    assert shared.get("/health").status == 200


@pytest.mark.parametrize("headers", [["Sec-WebSocket-Version: 8"], ["Upgrade: h2c"]])
def test_bad_handshake_is_refused(shared, headers):
    with socket.create_connection(("127.0.0.1", shared.port), 10) as raw:
        usual = {
            "Upgrade": "websocket",
            "Connection": "Upgrade",
            "Sec-WebSocket-Version": "13",
            "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
        }
        usual.update(h.split(": ") for h in headers)
        head = "GET /ws HTTP/1.1\r\nHost: x\r\n" + "".join(f"{k}: {v}\r\n" for k, v in usual.items()) + "\r\n"
        raw.sendall(head.encode())
        assert not raw.recv(4096).startswith(b"HTTP/1.1 101")


def test_handshake_answers_the_key_of_the_rfc(shared):
    with socket.create_connection(("127.0.0.1", shared.port), 10) as raw:
        raw.sendall(
            b"GET /ws HTTP/1.1\r\nHost: x\r\nupgrade: WebSocket\r\nconnection: keep-alive, Upgrade\r\n"
            b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
        )
        assert b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo=" in raw.recv(4096)


def test_message_in_the_packet_of_the_handshake_is_not_lost(shared):
    ping = b'{"type":"ping"}'
    frame = bytes([0x81, 0x80 | len(ping), 0, 0, 0, 0]) + ping
    with socket.create_connection(("127.0.0.1", shared.port), 10) as raw:
        raw.sendall(
            b"GET /ws HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n" + frame
        )
        data = b""
        while b"pong" not in data:
            more = raw.recv(4096)
            assert more, data
            data += more


def test_sigterm_closes_websockets_1001(make_server):
    server = make_server(config_of())
    with Client(server) as client:
        client.call({"type": "ping"}, "pong")
        assert server.terminate() == 0
        assert client.wait_closed()[0] in (1001, 1012)
