"""TLS, passwords, rights and topics that are not there: what works, and what weir says when it does not."""

import time

import pytest
from oracle import health, kafka, kafka_broker, kafka_flights, kafka_ticks, token_server, weir

MECHANISMS = ["plain", "scram-sha-256", "scram-sha-512"]
COUNT = 20_000
DEADLINE_S = 20
LOG_LINES_MAX = 50
WATCHED_S = 10


def secure(broker, mechanism="scram-sha-256", user=kafka_broker.USER, password=kafka_broker.PASSWORD, authority=None):
    return {
        "brokers": [broker.secure_address],
        "tls": {"ca": str(authority or broker.authority)},
        "sasl": {"mechanism": mechanism, "username": user, "password": password},
    }


def source(broker, topic, **others):
    return kafka_flights.kafka_source(broker, [topic], kafka.unique("group"), **others)


def check_logs_stay_short(*servers):
    """Watches for a while: the trouble goes on, the log does not go on with it."""
    before = {server: len(server.stderr().splitlines()) for server in servers}
    looks = []

    def look():
        for server in servers:
            assert server.running(), server.stderr()[-2000:]
            assert not health.all_well(server)
        looks.append(time.monotonic())
        return looks[-1] - looks[0] > WATCHED_S

    weir.eventually(look, WATCHED_S * 4, "a while of watching", interval_s=0.5)
    for server in servers:
        lines = server.stderr().splitlines()[before[server] :]
        assert len(lines) < LOG_LINES_MAX, f"{server.config_path}: {len(lines)} lines:\n" + "\n".join(lines[:10])


@pytest.mark.parametrize("mechanism", MECHANISMS)
def test_events_in_and_results_out_over_tls_with_a_password(broker, make_server, mechanism, tmp_path):
    topic = kafka.create_topic(broker, kafka.unique("secure"), 2)
    results = kafka.create_topic(broker, kafka.unique("results"))
    access = secure(broker, mechanism)
    if mechanism == "plain":  # secrets may be in files too
        (tmp_path / "secret").write_text(kafka_broker.PASSWORD + "\n")
        del access["sasl"]["password"]
        access["sasl"]["password_file"] = str(tmp_path / "secret")
    sink = {"kafka": {**access, "topic": results, "transactional": True}}
    server = make_server(kafka_ticks.config(source(broker, topic, **access), {"out": sink}))
    kafka.produce(broker, topic, [*kafka_ticks.events(0, COUNT, 2), *kafka_ticks.pushes(2)])
    kafka_ticks.check_store(server, COUNT)
    kafka_ticks.check_topic(broker, results, COUNT)
    assert kafka_broker.PASSWORD not in server.stderr()
    shown = weir.run("config", "show", server.config_path)
    assert kafka_broker.PASSWORD not in shown.stdout, "the password is shown"


WRONG = {
    "wrong_password": (lambda b: secure(b, password="guess"), "authentic|password|credential"),
    "unknown_user": (lambda b: secure(b, "plain", user="nobody"), "authentic|password|credential"),
    "wrong_authority": (lambda b: secure(b, authority=b.other_authority), "certificate"),
    "no_tls": (lambda b: {"brokers": [b.secure_address]}, "connect|tls|ssl|closed|broker"),
    "nobody_listens": (lambda b: {"brokers": [f"127.0.0.1:{weir.free_port()}"]}, "refused|connect"),
    "no_right_to_read": (
        lambda b: secure(b, user=kafka_broker.STRANGER, password=kafka_broker.STRANGER_PASSWORD), "authori[sz]|denied"),
}  # fmt: skip


WRONG_FOR_SINKS = ["wrong_password", "wrong_authority", "no_right_to_read"]
TROUBLES = [*WRONG, *(f"sink_{name}" for name in WRONG_FOR_SINKS)]


@pytest.fixture(scope="module")
def troubled(broker, tmp_path_factory):
    """{name: a server whose source or sink has that trouble}; they all run at once, for each mostly waits."""
    servers = {}
    topic = kafka.create_topic(broker, kafka.unique("wrong"))
    kafka.produce(broker, topic, [*kafka_ticks.events(0, COUNT, 1), *kafka_ticks.pushes(1)])
    try:
        for name in TROUBLES:
            access = WRONG[name.removeprefix("sink_")][0](broker)
            if name.startswith("sink_"):
                sinks = {"out": {"kafka": {**access, "topic": topic}}}
                config = kafka_ticks.config(source(broker, topic), sinks)
            else:
                config = kafka_ticks.config(source(broker, topic, **access))
            servers[name] = weir.Server(tmp_path_factory.mktemp(name), config)
            servers[name].start(wait=False)
        yield servers
    finally:
        for server in servers.values():
            server.close()


@pytest.mark.parametrize("name", TROUBLES)
def test_health_says_what_is_wrong(troubled, name):
    text = health.wait_troubled(troubled[name], WRONG[name.removeprefix("sink_")][1], DEADLINE_S)
    assert kafka_broker.PASSWORD not in text and "guess" not in text


def test_trouble_that_goes_on_does_not_fill_the_log(troubled):
    check_logs_stay_short(*troubled.values())


@pytest.mark.parametrize("name", TROUBLES)
def test_a_server_in_trouble_stops_in_time(troubled, name):
    assert troubled[name].terminate(10) == 0


def test_health_names_a_topic_that_is_not_there_and_reads_it_once_it_is(broker, make_server):
    topic = kafka.unique("not-yet")
    server = make_server(kafka_ticks.config(source(broker, topic)), start=False).start(wait=False)
    assert topic in health.wait_troubled(server, topic, DEADLINE_S)
    kafka.create_topic(broker, topic, 2)
    kafka.produce(broker, topic, [*kafka_ticks.events(0, COUNT, 2), *kafka_ticks.pushes(2)])
    kafka_ticks.check_store(server, COUNT, timeout_s=120)
    health.wait_well(server, DEADLINE_S)


def test_health_names_a_result_topic_that_is_not_there(broker, make_server):
    topic, results = kafka.create_topic(broker, kafka.unique("there")), kafka.unique("not-there")
    sink = kafka_flights.kafka_sink(broker, results)
    server = make_server(kafka_ticks.config(source(broker, topic), {"out": sink}), start=False).start(wait=False)
    kafka.produce(broker, topic, [*kafka_ticks.events(0, COUNT, 1), *kafka_ticks.pushes(1)])
    health.wait_troubled(server, results, 40)
    assert server.terminate(10) == 0


def test_health_names_a_topic_that_was_deleted(broker, make_server):
    topic = kafka.create_topic(broker, kafka.unique("deleted"), 2)
    # The client asks for topics anew every five minutes when nobody tells it otherwise.
    often = {"properties": {"topic.metadata.refresh.interval.ms": "1000"}}
    server = make_server(kafka_ticks.config(source(broker, topic, **often)))
    kafka.produce(broker, topic, [*kafka_ticks.events(0, COUNT, 2), *kafka_ticks.pushes(2)])
    kafka_ticks.check_store(server, COUNT)
    kafka.delete_topic(broker, topic)
    health.wait_troubled(server, topic, 40)
    kafka_ticks.check_store(server, COUNT)
    check_logs_stay_short(server)


def test_unsecured_tokens_work_where_a_broker_takes_them(broker, make_server):
    """OAUTHBEARER with settings of the client library alone, which `properties` passes on."""
    topic = kafka.create_topic(broker, kafka.unique("token"))
    token = {
        "security.protocol": "SASL_PLAINTEXT",
        "sasl.mechanism": "OAUTHBEARER",
        "enable.sasl.oauthbearer.unsecure.jwt": "true",
        "sasl.oauthbearer.config": f"principal={kafka_broker.USER}",
    }
    server = make_server(kafka_ticks.config(source(broker, topic, brokers=[broker.oauth_address], properties=token)))
    kafka.produce(broker, topic, [*kafka_ticks.events(0, COUNT, 1), *kafka_ticks.pushes(1)])
    kafka_ticks.check_store(server, COUNT)


def with_tokens(broker, topic, server, secret=token_server.CLIENT_SECRET):
    sasl = {
        "mechanism": "oauthbearer",
        "token_url": server.url,
        "client_id": token_server.CLIENT_ID,
        "client_secret": secret,
        "scope": "kafka",
    }
    return kafka_ticks.config(source(broker, topic, brokers=[broker.oauth_address], sasl=sasl))


def test_tokens_are_fetched_and_renewed_while_events_flow(broker, make_server):
    topic = kafka.create_topic(broker, kafka.unique("tokens"))
    with token_server.TokenServer(kafka_broker.USER, lifetime_s=5) as tokens:
        server = make_server(with_tokens(broker, topic, tokens))
        kafka.produce(broker, topic, kafka_ticks.events(0, COUNT // 2, 1))
        fetched = len(tokens.requests)
        weir.eventually(lambda: len(tokens.requests) >= fetched + 2, 30, "the token is renewed, twice")
        kafka.produce(broker, topic, [*kafka_ticks.events(COUNT // 2, COUNT, 1), *kafka_ticks.pushes(1)])
        kafka_ticks.check_store(server, COUNT)
        assert set(tokens.requests) == {(200, "kafka")}, tokens.requests
        assert token_server.CLIENT_SECRET not in server.stderr()


def test_a_token_server_that_refuses_is_told(broker, make_server):
    topic = kafka.create_topic(broker, kafka.unique("tokens"))
    with token_server.TokenServer(kafka_broker.USER, lifetime_s=60) as tokens:
        server = make_server(with_tokens(broker, topic, tokens, secret="wrong"), start=False)
        server.start(wait=False)
        health.wait_troubled(server, "(?i)token", 40)
        assert {status for status, _ in tokens.requests} == {401}
        check_logs_stay_short(server)
