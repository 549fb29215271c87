"""What departments, agents and judges may do: one function per command, run with the ticket locked."""
