"""Members that speak https: verified against a CA, by a name, and with a client's certificate."""

import subprocess

import pytest

from fake_patroni import use_tls
from processes import wait_until

NAME = "patroni.example"


@pytest.fixture(scope="module")
def certificates(tmp_path_factory):
    """A folder with ca, other_ca, server (for NAME and nothing else), client and stranger, each .pem and .key."""
    folder = tmp_path_factory.mktemp("certificates")

    def openssl(*words):
        subprocess.run(["/usr/bin/openssl", *words], cwd=folder, check=True, capture_output=True)

    new_key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
    for ca in ("ca", "other_ca"):
        openssl("req", "-x509", *new_key, "-keyout", f"{ca}.key", "-out", f"{ca}.pem", "-days", "30", "-subj", f"/CN={ca}")
    for name, ca, host in (("server", "ca", NAME), ("client", "ca", "client"), ("stranger", "other_ca", "stranger")):
        openssl("req", *new_key, "-keyout", f"{name}.key", "-out", f"{name}.csr", "-subj", f"/CN={name}")
        (folder / f"{name}.ext").write_text(f"subjectAltName=DNS:{host}\n")
        openssl("x509", "-req", "-in", f"{name}.csr", "-CA", f"{ca}.pem", "-CAkey", f"{ca}.key", "-CAcreateserial",
                "-days", "30", "-out", f"{name}.pem", "-extfile", f"{name}.ext")
    return folder


@pytest.fixture
def tls_rig(cluster, make_rig, certificates):
    """tls_rig(verify_client=False, **tls): pointsman's `tls` section; paths are names in the folder of certificates."""
    def make(verify_client=False, **tls):
        client_ca = certificates / "ca.pem" if verify_client else None
        use_tls(cluster, certificates / "server.pem", certificates / "server.key", client_ca)
        rig = make_rig("nocheck", run=False)
        for key in ("ca", "cert", "key"):
            if key in tls:
                tls[key] = str(certificates / tls[key])
        if tls:
            rig.settings["clusters"][0]["tls"] = tls
        rig.pointsman.write_settings()
        return rig

    return make


def test_members_are_verified_by_name(tls_rig):
    rig = tls_rig(ca="ca.pem", server_name=NAME)
    rig.pointsman.start()
    rig.wait_steered(5)
    rig.cluster.switch("pg3")
    rig.wait_steered(5)
    assert not rig.log_lines("is refused")


def test_a_clients_certificate_is_shown(tls_rig):
    rig = tls_rig(verify_client=True, ca="ca.pem", server_name=NAME, cert="client.pem", key="client.key")
    rig.pointsman.start()
    rig.wait_steered(5)


REFUSED = {
    "another CA": ({"ca": "other_ca.pem", "server_name": NAME}, False, "certificate"),
    "the system's CAs": ({"server_name": NAME}, False, "certificate"),
    "another name": ({"ca": "ca.pem", "server_name": "elsewhere.example"}, False, "elsewhere.example"),
    "the address, which is not in the certificate": ({"ca": "ca.pem"}, False, "127.0."),
    "no certificate of ours": ({"ca": "ca.pem", "server_name": NAME}, True, "certificate"),
    "a stranger's certificate":
        ({"ca": "ca.pem", "server_name": NAME, "cert": "stranger.pem", "key": "stranger.key"}, True, "unknown ca"),
    "a CA file that is not there": ({"ca": "none.pem", "server_name": NAME}, False, "none.pem"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_who_is_not_verified_is_refused_with_one_line(tls_rig, case):
    tls, verify_client, word = REFUSED[case]
    rig = tls_rig(verify_client, **tls)
    before = rig.haproxy.state()
    rig.pointsman.start()
    members = rig.cluster.members.values()
    wait_until(lambda: all(rig.member_status(member.name)["silent_why"] == "tls" for member in members), 5, "all are refused")
    wait_until(lambda: rig.metric("pointsman_rounds_total") > 20, 5, "some rounds have passed")
    for member in members:
        line, = rig.log_lines(" warning ", f"{member.api_url}/primary is refused: ")
        assert word in line, line
    assert rig.haproxy.state() == before and rig.recorder.commands() == []
    checked = rig.pointsman.command("check").stdout
    assert all(f"member {member.api_url} gives no answer: tls (" in checked for member in members), checked


def test_verification_can_be_switched_off(tls_rig):
    rig = tls_rig(verify=False)
    rig.pointsman.start()
    rig.wait_steered(5)
