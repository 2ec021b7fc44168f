"""One certificate for all proxies: ECDSA on P-256, made anew for every run."""

import subprocess

from failures import Unavailable

NEW_KEY = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2"]


def make_certificates(folder):
    """Paths of an authority's certificate (`ca`), of a `chain` for 127.0.0.1 with its `key`, and of
    `both` in one file."""
    paths = {name: folder / f"{name}.pem" for name in ("ca", "chain", "key", "both")}
    ca_key, request, extensions = (folder / name for name in ("ca.key", "request", "extensions"))
    extensions.write_text("subjectAltName=IP:127.0.0.1\nbasicConstraints=CA:FALSE\n")
    openssl("req", "-x509", *NEW_KEY, "-subj", "/CN=bench", "-keyout", ca_key, "-out", paths["ca"])
    openssl("req", "-new", *NEW_KEY[:-2], "-subj", "/CN=gateway", "-keyout", paths["key"],
            "-out", request)
    openssl("x509", "-req", "-in", request, "-CA", paths["ca"], "-CAkey", ca_key, "-days", "2",
            "-CAcreateserial", "-extfile", extensions, "-out", paths["chain"])
    paths["both"].write_text(paths["chain"].read_text() + paths["key"].read_text())
    paths["both"].chmod(0o600)
    return paths


def openssl(*arguments):
    command = ["openssl", *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode != 0:
        raise Unavailable(f"openssl {arguments[0]} failed: {done.stderr}")
