"""Tests of the console's side of the wire."""
