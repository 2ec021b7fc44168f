"""Looks for secrets in every file that a run of the product wrote."""

import base64
import os

from narration import StepFailed


def shapes(secret):
    """A secret as it could stand in a file: itself, and what base64 makes of it at each offset."""
    raw = secret.encode()
    found = {raw}
    for offset in range(3):
        encoded = base64.b64encode(b"\0" * offset + raw)
        # The first and last digits also depend on what stands around the secret.
        found.add(encoded[4 if offset else 0 : len(encoded) - 4])
    return found


def search(folder, secrets):
    """How many files and bytes were read; raises on a file that holds one of the secrets.

    `secrets` maps what each one is to its value: a message names only what it is.
    """
    wanted = {what: shapes(value) for what, value in secrets.items()}
    files = bytes_read = 0
    for place, _, names in os.walk(folder):
        for name in names:
            path = os.path.join(place, name)
            if not os.path.isfile(path):
                continue
            with open(path, "rb") as file:
                content = file.read()
            files += 1
            bytes_read += len(content)
            for what, forms in wanted.items():
                if any(form in content for form in forms):
                    raise StepFailed(f"{path} holds {what}")
    return files, bytes_read
