"""The load: a call centre, departments and agents, played for real and written down as they go."""
