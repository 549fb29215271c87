"""Real Kafka and real Postgres as local processes, and the services beside them: no Java, no Docker, no root needed."""
