"""The network's bytes: BCS, digests, addresses, objects and transactions, shared by `chain` and `practice`.

Pure functions and values; keys, sockets and the ledger's rules are left to others.
"""
