"""The practice network: a second, independent implementation of the chain on 127.0.0.1 (protocol.md 4)."""
