"""The practice network's ledger: rules and state in SQLite; sockets and messages are left to the servers."""
