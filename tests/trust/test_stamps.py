"""Time stamps from a service of one's own choice: a service on this machine, made of the openssl program."""

import http.server
import io
import shutil
import subprocess
import threading
from datetime import datetime

import attacks
import pytest
from vouching import SOFTWARE, picture, vouched

from maquette.core.errors import TrustError
from maquette.trust.inspect import Trust, inspect
from maquette.trust.keys import Keys
from maquette.trust.press import Press

pytestmark = pytest.mark.skipif(shutil.which("openssl") is None, reason="the service is made of the openssl program")
SETTINGS = """
[req]
distinguished_name = name
[name]
[authority]
basicConstraints = critical,CA:TRUE
keyUsage = critical,keyCertSign,cRLSign
subjectKeyIdentifier = hash
[service]
extendedKeyUsage = critical,timeStamping
keyUsage = critical,digitalSignature
basicConstraints = CA:FALSE
[stamp]
serial = {folder}/serial
signer_digest = sha256
default_policy = 1.2.3.4.1
digests = sha256,sha384,sha512
ess_cert_id_alg = sha256
certs = {folder}/authority.pem
"""


@pytest.fixture(scope="module")
def service(tmp_path_factory):
    """The address of a time-stamping service, and the file of its authority."""
    folder = tmp_path_factory.mktemp("service")
    (folder / "settings").write_text(SETTINGS.format(folder=folder))
    (folder / "serial").write_text("01")

    def openssl(*words):
        whole = ["openssl", *words]
        return subprocess.run(whole, cwd=folder, capture_output=True, check=True).stdout

    key = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-config", "settings")
    openssl(
        "req", "-x509", *key, "-keyout", "authority.key", "-out", "authority.pem", "-subj", "/CN=Clocks",
        "-days", "900", "-extensions", "authority",
    )  # fmt: skip
    openssl("req", "-new", *key, "-keyout", "service.key", "-out", "service.csr", "-subj", "/CN=Clock")
    openssl(
        "x509", "-req", "-in", "service.csr", "-CA", "authority.pem", "-CAkey", "authority.key", "-CAcreateserial",
        "-out", "service.pem", "-days", "800", "-extfile", "settings", "-extensions", "service",
    )  # fmt: skip

    class Service(http.server.BaseHTTPRequestHandler):
        def do_POST(self):
            (folder / "query").write_bytes(self.rfile.read(int(self.headers["Content-Length"])))
            answer = openssl(
                "ts", "-reply", "-config", "settings", "-section", "stamp", "-queryfile", "query",
                "-inkey", "service.key", "-signer", "service.pem",
            )  # fmt: skip
            self.send_response(200)
            self.send_header("Content-Type", "application/timestamp-reply")
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *words):
            pass

    with http.server.HTTPServer(("127.0.0.1", 0), Service) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/stamp", folder / "authority.pem"
        server.shutdown()


def judged(home, content):
    return inspect(io.BytesIO(content), Trust.of(Keys(home).anchors()))


def test_a_time_stamp_keeps_a_signature_for_those_who_believe_the_service(service, tmp_path):
    url, authority = service
    home = tmp_path / "home"
    keys = Keys(home)
    keys.signer()
    keys.time_stamp_with(url)
    end, (content,) = attacks.signed_before_the_end(home, 1)
    attacks.wait_until(end)
    report = judged(home, content)
    assert report["status"] == "expired" and datetime.fromisoformat(report["time_stamp"]) <= end
    keys.trust(authority, "clocks", stamps=True)
    assert judged(home, content)["status"] == "intact"
    keys.forget("clocks")
    assert judged(home, content)["status"] == "expired"


def test_whoever_certifies_a_service_does_not_vouch_for_images(tmp_path):
    other = Keys(tmp_path / "other")
    other.signer()
    (tmp_path / "other.pem").write_bytes(other.export())
    home = tmp_path / "home"
    press = Press(tmp_path / "other")
    path = tmp_path / "a.png"
    press.generated(path, vouched(picture(1), 1), {"software": SOFTWARE})
    for stamps, status in ((True, "unknown-signer"), (False, "intact")):
        Keys(home).trust(tmp_path / "other.pem", "other", stamps=stamps)
        assert judged(home, path.read_bytes())["status"] == status


def test_a_service_that_does_not_answer_is_named(tmp_path):
    home = tmp_path / "home"
    Keys(home).time_stamp_with("http://127.0.0.1:9/stamp")
    with pytest.raises(TrustError, match=r"time-stamping service http://127.0.0.1:9/stamp, or maquette keys time"):
        attacks.signed(Press(home), 1)
