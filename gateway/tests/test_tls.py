"""HTTPS with a self-signed certificate."""

import http.client
import socket
import ssl
import subprocess

import pytest


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tls")
    command = [
        "openssl",
        "req",
        "-x509",
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:P-256",
        "-nodes",
        "-days",
        "2",
    ]
    names = ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"]
    files = ["-keyout", str(folder / "key.pem"), "-out", str(folder / "cert.pem")]
    subprocess.run([*command, *names, *files], check=True, capture_output=True)
    return folder


@pytest.fixture(scope="module")
def tls_gateway(start_gateway, certificate):
    cert, key = certificate / "cert.pem", certificate / "key.pem"
    return start_gateway(TLS_CERT=str(cert), TLS_KEY=str(key))


def connect(gateway, certificate, alpn=("http/1.1",), **options):
    context = ssl.create_default_context(cafile=str(certificate / "cert.pem"))
    context.set_alpn_protocols(list(alpn))
    context.set_ciphers("ALL:@SECLEVEL=0")  # the server must reject weak ciphers, not this client
    for name, value in options.items():
        setattr(context, name, value)
    return context.wrap_socket(socket.create_connection(("127.0.0.1", gateway.port), 60), server_hostname="localhost")


def test_requests_over_tls_are_served_with_hsts(tls_gateway, certificate):
    context = ssl.create_default_context(cafile=str(certificate / "cert.pem"))
    connection = http.client.HTTPSConnection("127.0.0.1", tls_gateway.port, timeout=60, context=context)
    connection.request("GET", "/sequences", headers={"Authorization": tls_gateway.basic("ann")})
    response = connection.getresponse()
    assert response.status == 200 and b'["x-forwarded-proto", "https"]' in response.read()
    assert response.headers["Strict-Transport-Security"] == "max-age=31536000"
    connection.close()


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion.TLSv1_1 is deprecated")
@pytest.mark.parametrize(
    ("version", "is_accepted"),
    [(ssl.TLSVersion.TLSv1_3, True), (ssl.TLSVersion.TLSv1_2, True), (ssl.TLSVersion.TLSv1_1, False)],
)
def test_only_tls_1_2_and_1_3_are_accepted(tls_gateway, certificate, version, is_accepted):
    try:
        with connect(tls_gateway, certificate, maximum_version=version, minimum_version=version) as client:
            assert is_accepted, client.version()
            assert client.version() == version.name.replace("_", ".")
            assert client.cipher()[0].startswith(("TLS_", "ECDHE-"))  # forward secrecy
    except ssl.SSLError:
        assert not is_accepted


def test_ciphers_without_forward_secrecy_are_rejected(tls_gateway, certificate):
    context = ssl.create_default_context(cafile=str(certificate / "cert.pem"))
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers("AES256-GCM-SHA384:AES128-SHA")
    with pytest.raises(ssl.SSLError), socket.create_connection(("127.0.0.1", tls_gateway.port), 60) as plain:
        context.wrap_socket(plain, server_hostname="localhost")


def test_http_2_is_negotiated(tls_gateway, certificate):
    with connect(tls_gateway, certificate, alpn=("h2", "http/1.1")) as client:
        assert client.selected_alpn_protocol() == "h2"
    url = f"https://localhost:{tls_gateway.port}"
    user = f"ann:{tls_gateway.passwords['ann']}"
    done = subprocess.run(
        [
            *("curl", "-sS", "--http2", "--cacert", str(certificate / "cert.pem"), "-u", user, "-X", "PUT", "-d", "x"),
            *("-H", f"Origin: {url}", "-w", "\n%{http_version} %{http_code}", f"{url}/sequences/a"),
        ],
        capture_output=True,
        text=True,
        check=True,
    )
    body, _, status = done.stdout.rpartition("\n")
    assert status == "2 200" and '"method": "PUT"' in body


def test_plain_http_on_the_tls_port_returns_400(tls_gateway):
    response = tls_gateway.call("GET", "/sequences", "ann")
    assert (response.status, response.headers["Content-Type"]) == (400, "application/problem+json")
