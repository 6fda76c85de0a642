"""The network as the console sees it: typed reads, transactions built and sent, failures in words.

It holds no key and decides nothing; what is signed and when is the agent's.
"""
