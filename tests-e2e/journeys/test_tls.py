"""`make up TLS=1` serves HTTPS with a generated certificate in both deployment modes, and health checks use it."""

import re

import pytest
import requests

from quintet_e2e.command_line import CommandLine
from quintet_local import envfile

pytestmark = pytest.mark.slow


@pytest.fixture
def certificate(stack):
    env_file = stack.home / ".env"
    before = env_file.read_text()
    stack.run_command("up", "--tls")
    yield envfile.load(env_file)["TLS_CERT"]
    env_file.write_text(before)
    stack.run_command("up")


def test_stack_serves_https_and_reports_healthy(stack, certificate, tmp_path):
    url = f"https://127.0.0.1:{stack.settings['GATEWAY_PORT']}"
    user = (stack.user, stack.password)
    response = requests.get(f"{url}/health", auth=user, verify=certificate, timeout=60)
    assert (response.status_code, response.json()["status"]) == (200, "OK")
    assert "max-age" in response.headers["Strict-Transport-Security"]
    created = requests.put(
        f"{url}/sequences/over-tls",
        json={"minimum": 1, "maximum": 9},
        headers={"Origin": url, "Sec-Fetch-Site": "same-origin"},
        auth=user,
        verify=certificate,
        timeout=60,
    )
    assert created.status_code in (200, 201)
    assert requests.get(f"http://127.0.0.1:{stack.settings['GATEWAY_PORT']}/livez", timeout=60).status_code == 400
    assert stack.run_command("url").startswith(f"https://{stack.user}:")
    assert re.search(rf"health at {url}/health: OK", stack.run_command("status"))
    # The command line trusts the certificate that SSL_CERT_FILE names; `make load-data` trusts any on this machine.
    CommandLine(stack.run_command("url").strip(), tmp_path, SSL_CERT_FILE=certificate).output("status")
    stack.run_command("load-data")
    # A second `up` keeps the certificate, and the gateway stays healthy.
    stack.run_command("up")
    requests.get(f"{url}/livez", verify=certificate, timeout=60).raise_for_status()
