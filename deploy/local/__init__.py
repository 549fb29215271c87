"""Real Kafka and real Postgres as plain local processes, and the services beside them: no Java, Docker or root needed."""
