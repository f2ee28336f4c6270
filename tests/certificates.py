"""A certificate that signs itself, for servers of tests on loopback."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

from tests.requirements import missing


def make_certificate(folder: Path, name: str, alternative: str) -> None:
    """``key.pem`` and ``ca.pem`` in ``folder``.  ``alternative`` as openssl has it: ``DNS:host``, ``IP:127.0.0.1``."""
    if shutil.which("openssl") is None:
        missing("openssl", "no openssl here to make a certificate with: apt-get install openssl")
    command = f"openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN={name} -addext subjectAltName={alternative}"
    subprocess.run([*command.split(), "-keyout", "key.pem", "-out", "ca.pem"], cwd=folder, check=True, capture_output=True)
