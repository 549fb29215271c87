"""The kernel: events and commands in, effects and events out; it knows no service."""
