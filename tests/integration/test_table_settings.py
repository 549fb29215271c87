"""Hot tables are vacuumed early and leave room for updates in place; new days and months have the same settings."""

from collections.abc import Mapping

import pytest
from pydantic import SecretStr

from libs.shared import run
from services.intake import vault
from tests.running import harness

BY_NUMBER = "autovacuum_vacuum_scale_factor=0"
SMALL_SHARE = "autovacuum_vacuum_scale_factor=0.02"
AT_ONCE = "autovacuum_vacuum_cost_delay=0"

# Reasons: docs/runbook.md, "Postgres".
KERNEL: Mapping[str, set[str]] = {
    "outbox": {BY_NUMBER, "autovacuum_vacuum_threshold=5000", AT_ONCE},
    "stream": {"fillfactor=60", SMALL_SHARE, AT_ONCE},
    "fence": {"fillfactor=20", BY_NUMBER, "autovacuum_vacuum_threshold=500"},
    "lease": {"fillfactor=20", BY_NUMBER, "autovacuum_vacuum_threshold=500"},
    "command": {"autovacuum_vacuum_scale_factor=0.05"},
}
WANTED: Mapping[str, Mapping[str, set[str]]] = {
    "intake": {"ticket_stage": {"fillfactor=60", SMALL_SHARE, AT_ONCE}},
    "classification": {
        "ticket": {"fillfactor=90", BY_NUMBER, AT_ONCE},
        "review": {"fillfactor=70", BY_NUMBER, AT_ONCE},
        "arrival": {BY_NUMBER, AT_ONCE},
    },
    "dispatch": {
        "ticket": {"fillfactor=80", SMALL_SHARE, AT_ONCE},
        "work_order": {"fillfactor=80", SMALL_SHARE, AT_ONCE},
        "delivery": {"fillfactor=70", SMALL_SHARE, AT_ONCE},
        "cell": {"fillfactor=50", SMALL_SHARE, AT_ONCE},
        "endpoint": {"fillfactor=50", SMALL_SHARE, AT_ONCE},
    },
    "sla_timer": {
        "ticket": {"fillfactor=70", BY_NUMBER, AT_ONCE},
        "work_order": {"fillfactor=70", BY_NUMBER, AT_ONCE},
        "clock": {"fillfactor=70", BY_NUMBER, AT_ONCE},
        "timer": {BY_NUMBER, AT_ONCE},
    },
    "notification": {
        "recipient": {"fillfactor=50", BY_NUMBER, AT_ONCE},
        "delivery": {"fillfactor=70", BY_NUMBER, AT_ONCE},
    },
}
LEAVES = """
    SELECT c.relname AS name, coalesce(p.relname, c.relname) AS parent, coalesce(c.reloptions, '{}') AS options
    FROM pg_class c LEFT JOIN pg_inherits i ON i.inhrelid = c.oid LEFT JOIN pg_class p ON p.oid = i.inhparent
    WHERE c.relkind = 'r' AND c.relnamespace = to_regnamespace(:schema)"""


@pytest.mark.parametrize("name", sorted(WANTED))
async def test_hot_tables_have_their_settings_in_every_partition(name: str, database: str) -> None:
    more = {"vault_key": SecretStr(vault.new_key())} if name == "intake" else {}
    async with harness(run.load(name), database, **more) as h:
        found = await h.rows(LEAVES, schema=name)
    wanted = {**KERNEL, **WANTED[name]}
    wrong = {row.name: row.options for row in found if not wanted.get(row.parent, set()) <= set(row.options)}
    assert wrong == {}
    assert wanted.keys() <= {row.parent for row in found}
    partitions = [row for row in found if row.parent in WANTED[name] and row.name != row.parent]
    assert len(partitions) >= 4  # the default one and the months ahead
