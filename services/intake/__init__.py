"""Intake: takes tickets in, once each, and keeps what names a person to itself."""
