"""The services: each owns its schema, hears events and says events; none imports another."""
