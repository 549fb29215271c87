"""Plays departments that work with Zhida, for demonstrations and tests."""
