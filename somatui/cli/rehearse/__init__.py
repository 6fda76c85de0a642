"""Rehearsals: each way to lose money, done once with worthless coins on a practice network of its own."""
