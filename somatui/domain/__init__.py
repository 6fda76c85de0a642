"""The network's rules and the operator's picture of the world, as pure functions and frozen values.

Nothing in this room reads a file, a socket or the clock: what is shown or decided is a function of a
`Snapshot`, the settings and the time given.
"""
