"""The relay chooses partitions as Kafka's own clients do."""

from aiokafka.partitioner import DefaultPartitioner
from hypothesis import given
from hypothesis import strategies as st

from libs.shared.relay import numbers

UUIDS = st.uuids().map(lambda value: str(value).encode())


@given(st.lists(st.one_of(UUIDS, st.binary(max_size=60))), st.integers(1, 100))
def test_partition_of_every_key_is_that_of_the_default_partitioner(keys: list[bytes], count: int) -> None:
    every = list(range(count))
    assert numbers(keys, count) == [DefaultPartitioner()(key, every, every) for key in keys]
