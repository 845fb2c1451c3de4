"""A real Apache Kafka broker of one node (KRaft), in a folder and on ports of its own.

It can be stopped, killed, and started again with the same data and ports. It dies with the process that started it, however
that ends. Four listeners: PLAINTEXT for everybody, SASL_SSL for those with a password, one for unsecured OAuth tokens, and
the controller's. USER may do everything, STRANGER nothing.
"""

import base64
import contextlib
import os
import pathlib
import shutil
import signal
import socket
import subprocess

from . import weir

JARS = weir.ROOT / "build" / "kafka" / "jars"
USER, PASSWORD = "weir", "weir-secret"
STRANGER, STRANGER_PASSWORD = "stranger", "stranger-secret"
START_TIMEOUT_S = 90
STOP_TIMEOUT_S = 30
# A short life: compiled quickly rather than well, one thread of garbage collection.
JVM = ["-Xms256m", "-Xmx512m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-XX:-UsePerfData", "-Xshare:auto"]
LOGGING = "-Dorg.slf4j.simpleLogger."
JAAS = "org.apache.kafka.common.security."

PROPERTIES = """\
process.roles=broker,controller
node.id=1
listeners=PLAINTEXT://127.0.0.1:{plain},CONTROLLER://127.0.0.1:{controller},SECURE://127.0.0.1:{secure},OAUTH://127.0.0.1:{oauth}
advertised.listeners=PLAINTEXT://127.0.0.1:{plain},SECURE://127.0.0.1:{secure},OAUTH://127.0.0.1:{oauth}
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,SECURE:SASL_SSL,OAUTH:SASL_PLAINTEXT
controller.listener.names=CONTROLLER
inter.broker.listener.name=PLAINTEXT
controller.quorum.bootstrap.servers=127.0.0.1:{controller}
log.dirs={data}
auto.create.topics.enable=false
message.max.bytes=8388608
# Results have the time of their window, and the events of the tests are years old.
log.retention.ms=-1
# One node: topics of the broker's own have one replica and few partitions.
default.replication.factor=1
min.insync.replicas=1
offsets.topic.replication.factor=1
offsets.topic.num.partitions=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
transaction.state.log.num.partitions=1
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
share.coordinator.state.topic.num.partitions=1
# What takes seconds in production takes less here.
group.initial.rebalance.delay.ms=0
group.min.session.timeout.ms=1000
group.consumer.min.heartbeat.interval.ms=200
group.consumer.heartbeat.interval.ms=500
group.consumer.min.session.timeout.ms=3000
group.consumer.session.timeout.ms=6000
broker.heartbeat.interval.ms=500
broker.session.timeout.ms=3000
transaction.abort.timed.out.transaction.cleanup.interval.ms=1000
log.cleaner.dedupe.buffer.size=4194304
num.network.threads=2
num.io.threads=4
background.threads=2
num.recovery.threads.per.data.dir=1
# Rights. Whoever comes without a name may do everything, so that tests may look into everything.
authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer
super.users=User:ANONYMOUS;User:{user}
sasl.enabled.mechanisms=SCRAM-SHA-256,SCRAM-SHA-512,PLAIN,OAUTHBEARER
listener.name.secure.sasl.enabled.mechanisms=SCRAM-SHA-256,SCRAM-SHA-512,PLAIN
listener.name.secure.scram-sha-256.sasl.jaas.config={jaas}scram.ScramLoginModule required;
listener.name.secure.scram-sha-512.sasl.jaas.config={jaas}scram.ScramLoginModule required;
listener.name.secure.plain.sasl.jaas.config={jaas}plain.PlainLoginModule required \
user_{user}="{password}" user_{stranger}="{stranger_password}";
listener.name.secure.ssl.keystore.type=PEM
listener.name.secure.ssl.keystore.location={keystore}
listener.name.secure.ssl.client.auth=none
listener.name.oauth.sasl.enabled.mechanisms=OAUTHBEARER
listener.name.oauth.oauthbearer.sasl.jaas.config={jaas}oauthbearer.OAuthBearerLoginModule required;
"""


def openssl(*arguments, cwd):
    done = subprocess.run(["openssl", *arguments], cwd=cwd, capture_output=True, text=True)
    assert done.returncode == 0, f"openssl {arguments[0]}: {done.stderr}"


def make_authority(directory, name):
    """A certificate authority of our own: NAME.crt and NAME.key."""
    # fmt: off
    openssl("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "3650", "-subj", f"/CN={name}",
            "-addext", "basicConstraints=critical,CA:TRUE", "-addext", "keyUsage=critical,keyCertSign,cRLSign",
            "-keyout", f"{name}.key", "-out", f"{name}.crt", cwd=directory)
    # fmt: on
    return directory / f"{name}.crt"


def make_key_store(directory, authority):
    """server.pem: key, certificate for this machine, and the authority that signed it."""
    (directory / "names.txt").write_text("subjectAltName=DNS:localhost,IP:127.0.0.1\nextendedKeyUsage=serverAuth\n")
    # fmt: off
    openssl("req", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=localhost",
            "-keyout", "server.key", "-out", "server.csr", cwd=directory)
    openssl("x509", "-req", "-in", "server.csr", "-CA", f"{authority}.crt", "-CAkey", f"{authority}.key",
            "-CAcreateserial", "-days", "3650", "-extfile", "names.txt", "-out", "server.crt", cwd=directory)
    # fmt: on
    store = directory / "server.pem"
    store.write_text("".join((directory / n).read_text() for n in ("server.key", "server.crt", f"{authority}.crt")))
    return store


def accepts(port):
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
        return True
    return False


class Broker:
    """Start it in the main thread: the kernel ends it when the thread that started it does.

    `properties` makes others than those above from the ports; its controller may be found by voters: then not `standalone`.
    """

    def __init__(self, directory, properties=None, standalone=True):
        assert JARS.is_dir(), f"no Kafka in {JARS}; ./dev test fetches it"
        assert shutil.which("java"), "java is not there; ./dev test installs it"
        self.directory = pathlib.Path(directory)
        self.process = None
        self.ports = {name: weir.free_port() for name in ("plain", "controller", "secure", "oauth")}
        assert len(set(self.ports.values())) == len(self.ports)
        self.address = f"127.0.0.1:{self.ports['plain']}"
        self.secure_address = f"127.0.0.1:{self.ports['secure']}"
        self.oauth_address = f"127.0.0.1:{self.ports['oauth']}"
        self.log_path = self.directory / "broker.log"
        self.properties_path = self.directory / "server.properties"
        tls = self.directory / "tls"
        tls.mkdir()
        self.authority = make_authority(tls, "authority")
        self.other_authority = make_authority(tls, "other")
        self.standalone = standalone
        self.properties_path.write_text(
            f"{properties(**self.ports)}log.dirs={self.directory / 'data'}\n"
            if properties
            else PROPERTIES.format(
                **self.ports,
                data=self.directory / "data",
                keystore=make_key_store(tls, "authority"),
                jaas=JAAS,
                user=USER,
                password=PASSWORD,
                stranger=STRANGER,
                stranger_password=STRANGER_PASSWORD,
            )
        )
        self._format()

    def _java(self, main, *arguments):
        # The kernel kills it when pytest is gone, even by SIGKILL.
        command = ["setpriv", "--pdeathsig", "KILL", "java", *JVM, f"{LOGGING}showDateTime=true"]
        command += [f"{LOGGING}defaultLogLevel=warn", f"{LOGGING}log.kafka.server.KafkaRaftServer=info"]
        return [*command, "-cp", f"{JARS}/*", main, *arguments]

    def _format(self):
        cluster = "w" + base64.urlsafe_b64encode(os.urandom(16)).decode()[1:22]
        arguments = ["format", "--ignore-formatted", "-t", cluster, "-c", str(self.properties_path)]
        if self.standalone:
            arguments.append("--standalone")
        for mechanism in ("SCRAM-SHA-256", "SCRAM-SHA-512"):
            for name, password in ((USER, PASSWORD), (STRANGER, STRANGER_PASSWORD)):
                arguments += ["--add-scram", f"{mechanism}=[name={name},password={password}]"]
        command = self._java("kafka.tools.StorageTool", *arguments)
        done = subprocess.run(command, capture_output=True, text=True, timeout=START_TIMEOUT_S)
        assert done.returncode == 0, f"formatting the broker's folder failed:\n{done.stdout}{done.stderr}"

    def start(self):
        assert self.process is None, "already running"
        with open(self.log_path, "ab") as log:
            begin = log.seek(0, os.SEEK_END)
            self.process = subprocess.Popen(
                self._java("kafka.Kafka", str(self.properties_path)),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,  # Ctrl-C is for pytest, which then stops the broker in good order
            )

        def ready():
            assert self.process.poll() is None, f"the broker ended while starting:\n{self.log_tail()}"
            with open(self.log_path, "rb") as log:
                log.seek(begin)
                return b"Kafka Server started" in log.read() and accepts(self.ports["plain"])

        try:
            weir.eventually(ready, START_TIMEOUT_S, "the broker", interval_s=0.05)
        except AssertionError:
            print(self.log_tail())
            raise
        return self

    def stop(self):
        """A clean stop."""
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(STOP_TIMEOUT_S * weir.PATIENCE)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.process = None

    def kill(self):
        self.process.kill()
        self.process.wait()
        self.process = None

    def close(self):
        if self.process is not None:
            self.kill()

    def log_tail(self, lines=40):
        if not self.log_path.exists():
            return "(no log)"
        return "\n".join(self.log_path.read_text("utf-8", "replace").splitlines()[-lines:])
