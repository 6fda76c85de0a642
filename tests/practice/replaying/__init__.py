"""Replaying recorded calls of the real node on the practice network's code; tests.practice.replay is the command."""
