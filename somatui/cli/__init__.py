"""The command line: every action of the console under a noun and a verb, for scripts and for people without a screen.

It shows, asks and reports; what is done is the agent's, the practice network's or a worker's.
"""
