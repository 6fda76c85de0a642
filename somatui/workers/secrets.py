"""A worker's secrets come by an inherited pipe and stay in its memory; the standard library only."""

from __future__ import annotations

import json


class SecretsError(ValueError):
    """The pipe held no secrets; the text never repeats what it held."""


def take(descriptor: object) -> dict[str, str]:
    """Read the pipe to its end, once, and close it; those that are null are left out. Raises SecretsError."""
    if type(descriptor) is not int or descriptor < 3:
        raise SecretsError("The job names no pipe for its secrets: secrets_fd is the number of an inherited one.")
    try:
        with open(descriptor, "rb") as pipe:
            found = json.loads(pipe.read())
    except (OSError, ValueError):
        raise SecretsError("The pipe with the job's secrets cannot be read: start the job again.") from None
    if not isinstance(found, dict) or not all(isinstance(v, str) or v is None for v in found.values()):
        raise SecretsError("The pipe with the job's secrets does not hold an object of texts.")
    return {name: value for name, value in found.items() if value is not None}
