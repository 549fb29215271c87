"""Chaos: real load on real Kafka and Postgres, faults drawn from a recorded seed, and an oracle's verdict."""
