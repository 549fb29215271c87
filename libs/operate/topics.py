"""`zhida topics apply`: makes the topics of deploy/topics.toml, reports drift, refuses what would break order."""

import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import TopicAlreadyExistsError, for_code

from libs.shared.kafka import connection
from libs.shared.settings import Settings


class TopicsError(Exception):
    """The topics file or the cluster is not as it must be; nothing more was changed."""


@dataclass(frozen=True)
class Topic:
    """One topic as it shall be."""

    name: str
    partitions: int  # fixed for life: it decides where a ticket's events go
    replication: int
    retention_ms: int  # -1: for ever
    min_insync_replicas: int
    compact: bool


def load(path: Path, profile: str) -> list[Topic]:
    """The topics of that profile; TopicsError where the file breaks a rule."""
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, tomllib.TOMLDecodeError) as error:
        raise TopicsError(f"{path}: {error}") from error
    if profile not in document.get("profiles", {}):
        raise TopicsError(f"{path}: there is no profile {profile!r}; it has {', '.join(document.get('profiles', {}))}")
    common = document["profiles"][profile]
    topics = []
    for name, wish in document["topics"].items():
        unknown = set(wish) - {"owner", "readers", "retention_days", "compact", "partitions"}
        if unknown:
            raise TopicsError(f"{path}: topics.{name}: unknown {', '.join(sorted(unknown))}")
        days = wish.get("retention_days", common["retention_days"])
        topic = Topic(
            name=name,
            partitions=wish.get("partitions", common["partitions"]),
            replication=common["replication"],
            retention_ms=-1 if days < 0 else days * 86_400_000,
            min_insync_replicas=common["min_insync_replicas"],
            compact=wish.get("compact", False),
        )
        if profile != "local" and (topic.replication < 3 or topic.min_insync_replicas < 2):
            raise TopicsError(f"{path}: {name}: outside the local profile replication must be >= 3 and min ISR >= 2")
        topics.append(topic)
    return topics


async def apply(settings: Settings, topics: list[Topic], *, dry_run: bool = False) -> list[str]:
    """Make what is missing, set what may be set; gives one line for each thing done or found different.

    Raises: TopicsError where a topic's partition count or replication differs: neither is ever changed here.
    """
    admin = AIOKafkaAdminClient(**connection(settings))
    await admin.start()
    try:
        names = [topic.name for topic in topics]
        found = {each["topic"]: each for each in await admin.describe_topics(names) if each["error_code"] == 0}
        refused = []
        for topic in topics:
            if topic.name in found:
                refused += _differences(topic, found[topic.name])
        if refused:
            raise TopicsError("; ".join(refused))
        missing = [topic for topic in topics if topic.name not in found]
        if missing and not dry_run:
            made = await admin.create_topics(
                [
                    NewTopic(topic.name, topic.partitions, topic.replication, topic_configs=_configs(topic))
                    for topic in missing
                ]
            )
            for name, code, *rest in made.topic_errors:
                if code and for_code(code) is not TopicAlreadyExistsError:
                    raise TopicsError(f"{name}: {for_code(code).__name__} {rest[0] if rest else ''}")
        did = "would make" if dry_run else "made"
        lines = [f"{did} {topic.name} ({topic.partitions} partitions)" for topic in missing]
        return lines + await _drift(admin, [topic for topic in topics if topic.name in found], dry_run)
    finally:
        await admin.close()


def _configs(topic: Topic) -> dict[str, str]:
    return {
        "retention.ms": str(topic.retention_ms),
        "cleanup.policy": "compact" if topic.compact else "delete",
        "min.insync.replicas": str(topic.min_insync_replicas),
        "unclean.leader.election.enable": "false",
        "max.message.bytes": str(1024 * 1024),
    }


def _differences(topic: Topic, found: dict[str, Any]) -> list[str]:
    partitions = len(found["partitions"])
    replication = min(len(part["replicas"]) for part in found["partitions"])
    wrong = []
    if partitions != topic.partitions:
        wrong.append(f"{topic.name} has {partitions} partitions, wanted {topic.partitions}: a count is fixed for life")
    if replication != topic.replication:
        wrong.append(f"{topic.name} has replication {replication}, wanted {topic.replication}: reassign its replicas")
    return wrong


async def _drift(admin: AIOKafkaAdminClient, topics: list[Topic], dry_run: bool) -> list[str]:
    lines = []
    for topic in topics:
        [answer] = await admin.describe_configs([ConfigResource(ConfigResourceType.TOPIC, topic.name)])
        now = {entry[0]: entry[1] for entry in answer.resources[0][4]}
        wanted = _configs(topic)
        drift = {name: (now.get(name), value) for name, value in wanted.items() if now.get(name) != value}
        for name, (old, value) in drift.items():
            lines.append(f"{'would set' if dry_run else 'set'} {topic.name} {name} {old} -> {value}")
        if drift and not dry_run:
            await admin.alter_configs([ConfigResource(ConfigResourceType.TOPIC, topic.name, configs=wanted)])
    return lines
