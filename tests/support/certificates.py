"""Certificates that tests make for themselves, by OpenSSL."""

import subprocess
from pathlib import Path

from support import programs


def make(folder: Path, name: str, subject: str, *options: str) -> None:
    """Write `NAME.key` and `NAME.crt`, which signs itself unless the options name a CA."""
    (openssl,) = programs.locate("openssl")
    pair = ["-keyout", f"{name}.key", "-out", f"{name}.crt", "-subj", f"/CN={subject}"]
    made = ["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1", *pair, *options]
    subprocess.run([openssl, *made], cwd=folder, check=True, capture_output=True)
