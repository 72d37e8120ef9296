"""Certificates for a test: an authority, and what it has signed for a server on this machine and for a client."""
import subprocess
from pathlib import Path

SERVER = "subjectAltName=DNS:localhost,IP:127.0.0.1"


def issue(folder: Path) -> None:
    """authority.pem, server.pem, server.key, client.pem, client.key; valid for a day."""
    folder.mkdir(parents=True, exist_ok=True)
    _self_signed(folder, "authority", "/CN=authority of a test")
    _signed(folder, "server", "/CN=server", SERVER)
    _signed(folder, "client", "/CN=client", "extendedKeyUsage=clientAuth")


def issue_client(folder: Path, name: str) -> None:
    """NAME.pem, NAME.key: a client's of that common name, signed by the authority of the folder."""
    _signed(folder, name, f"/CN={name}", "extendedKeyUsage=clientAuth")


def _self_signed(folder: Path, name: str, subject: str) -> None:
    _openssl(folder, "req", "-x509", *_new_key(name), "-subj", subject, "-days", "1", "-out", f"{name}.pem")


def _signed(folder: Path, name: str, subject: str, extension: str) -> None:
    _openssl(folder, "req", *_new_key(name), "-subj", subject, "-out", f"{name}.csr")
    (folder / f"{name}.ext").write_text(extension)
    authority = ("-CA", "authority.pem", "-CAkey", "authority.key", "-CAcreateserial")
    request = ("-req", "-in", f"{name}.csr", "-extfile", f"{name}.ext", "-days", "1")
    _openssl(folder, "x509", *request, *authority, "-out", f"{name}.pem")


def _new_key(name: str) -> tuple[str, ...]:
    return ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", f"{name}.key")


def _openssl(folder: Path, *arguments: str) -> None:
    subprocess.run(["openssl", *arguments], cwd=folder, check=True, capture_output=True)
