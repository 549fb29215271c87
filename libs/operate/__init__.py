"""What an operator runs: the `zhida` command, schemas, topics, and the documents made from the code."""
