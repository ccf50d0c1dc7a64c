"""A self-signed certificate for the gateway, generated unless the operator has configured one."""

import ipaddress
import os
import socket
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from quintet_local import envfile
from quintet_local.progress import log_progress

VALID_FOR = timedelta(days=825)  # some clients reject a longer validity


def ensure(env_file: Path, folder: Path, key_mode: int) -> None:
    """Make sure that .env names a certificate; generate one unless the operator has set TLS_CERT."""
    if envfile.load(env_file).get("TLS_CERT"):
        return
    certificate, key = folder / "cert.pem", folder / "key.pem"
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    _generate(certificate, key, key_mode)
    envfile.set_values(env_file, {"TLS_CERT": str(certificate), "TLS_KEY": str(key)})
    log_progress(f"generated a self-signed certificate: {certificate} (TLS_CERT and TLS_KEY in {env_file})")


def _generate(certificate: Path, key: Path, key_mode: int) -> None:
    private_key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Quintet")])
    names = [x509.DNSName("localhost"), x509.DNSName(socket.gethostname())]
    addresses = [x509.IPAddress(ipaddress.ip_address("127.0.0.1")), x509.IPAddress(ipaddress.ip_address("::1"))]
    now = datetime.now(UTC)
    signed = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(private_key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + VALID_FOR)
        .add_extension(x509.SubjectAlternativeName([*names, *addresses]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .sign(private_key, hashes.SHA256())
    )
    pem = private_key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    with open(os.open(key, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as out:
        out.write(pem)
    key.chmod(key_mode)
    certificate.write_bytes(signed.public_bytes(serialization.Encoding.PEM))
    certificate.chmod(0o644)
