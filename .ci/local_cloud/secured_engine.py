"""OpenSearch 2.19 with its security plugin, as fine-grained access control of a managed domain is: HTTPS, users, roles.

The distribution and the plugin come from Maven. A private certificate authority, made for each start, signs the node's
certificate. The node listens on 127.0.0.1, and ends with the context that started it.
"""

import base64
import contextlib
import json
import os
import pathlib
import shutil
import ssl
import subprocess
import time
import urllib.error
import urllib.request
import zipfile

from cloud import free_port, process
from definitions import ROOT

VERSION = "2.19.1"
DISTRIBUTION = f"org.opensearch.distribution.integ-test-zip:opensearch:{VERSION}:zip"
PLUGIN = f"org.opensearch.plugin:opensearch-security:{VERSION}.0:zip"
COPY = "org.apache.maven.plugins:maven-dependency-plugin:3.6.1:copy"
START_SECONDS = 180
# The administrator of the plugin's own examples: the node is for tests, and lives for minutes.
ADMINISTRATOR = ("admin", "admin")
STORE = ["-storetype", "PKCS12", "-storepass", "changeit", "-keypass", "changeit", "-noprompt"]
SETTINGS = """
cluster.name: secured
node.name: secured
network.host: 127.0.0.1
http.port: {port}
transport.port: 9300-9499
discovery.type: single-node
path.data: {scratch}/data
path.logs: {scratch}/logs
cluster.routing.allocation.disk.threshold_enabled: false
plugins.security.allow_default_init_securityindex: true
plugins.security.restapi.roles_enabled: [all_access]
plugins.security.nodes_dn: ["CN=node"]
plugins.security.ssl.transport.enforce_hostname_verification: false
plugins.security.ssl.http.enabled: true
"""
# The plugin's example lets every user have a role with bulk and multi-get on the whole cluster.
ROLES_MAPPING = """
_meta: {type: rolesmapping, config_version: 2}
all_access: {reserved: false, backend_roles: [admin]}
"""
LAYERS = """
plugins.security.ssl.{layer}.keystore_type: PKCS12
plugins.security.ssl.{layer}.keystore_filepath: node.p12
plugins.security.ssl.{layer}.truststore_type: PKCS12
plugins.security.ssl.{layer}.truststore_filepath: trust.p12
"""


def java(program):
    home = os.environ.get("JAVA_HOME")
    return str(pathlib.Path(home) / "bin" / program) if home else program


def installed():
    """The folder of the distribution with its plugin, fetched once."""
    folder = ROOT / "target" / f"opensearch-security-{VERSION}"
    home = folder / f"opensearch-{VERSION}"
    if home.is_dir():
        return home
    partial = folder.with_suffix(".partial")
    shutil.rmtree(partial, ignore_errors=True)
    for artifact in (DISTRIBUTION, PLUGIN):
        subprocess.run(["mvn", "--batch-mode", "--quiet", COPY, f"-Dartifact={artifact}", f"-DoutputDirectory={partial}"],
                       cwd="/", check=True)
    archives = sorted(partial.glob("*.zip"))
    for archive, where in zip(archives, (partial, partial / home.name / "plugins/opensearch-security"), strict=True):
        with zipfile.ZipFile(archive) as files:
            files.extractall(where)
        archive.unlink()
    shutil.rmtree(folder, ignore_errors=True)
    partial.rename(folder)
    return home


def certificates(folder):
    """Makes an authority and the node's certificate with the JDK's own tool; `authority.pem` is the authority's."""
    def keytool(*arguments, **options):
        done = subprocess.run([java("keytool"), *arguments, *STORE], cwd=folder, check=True, capture_output=True, **options)
        return done.stdout

    pair = ["-genkeypair", "-keyalg", "EC", "-groupname", "secp256r1", "-validity", "2"]
    keytool(*pair, "-keystore", "authority.p12", "-alias", "authority", "-dname", "CN=driftless test", "-ext", "bc:c")
    keytool(*pair, "-keystore", "node.p12", "-alias", "node", "-dname", "CN=node")
    request = keytool("-certreq", "-keystore", "node.p12", "-alias", "node")
    names = ["-ext", "san=ip:127.0.0.1", "-ext", "eku=serverAuth,clientAuth"]
    signed = keytool("-gencert", "-keystore", "authority.p12", "-alias", "authority", "-rfc", *names, input=request)
    authority = keytool("-exportcert", "-keystore", "authority.p12", "-alias", "authority", "-rfc")
    (folder / "authority.pem").write_bytes(authority)
    for store in ("node.p12", "trust.p12"):
        keytool("-importcert", "-keystore", store, "-alias", "authority", "-file", "authority.pem")
    keytool("-importcert", "-keystore", "node.p12", "-alias", "node", input=signed)


class SecuredEngine:
    """A running node, asked as its administrator."""

    def __init__(self, url, authority):
        self.url, self.authority = url, authority
        self.context = ssl.create_default_context(cafile=str(authority))

    def pass_on(self, path, method, data=None, user=ADMINISTRATOR):
        """Status and bytes of an answer."""
        token = base64.b64encode(":".join(user).encode()).decode()
        headers = {"Content-Type": "application/json", "Authorization": f"Basic {token}"}
        request = urllib.request.Request(f"{self.url}/{path}", data or None, headers, method=method)
        try:
            with urllib.request.urlopen(request, timeout=30, context=self.context) as answer:
                return answer.status, answer.read()
        except urllib.error.HTTPError as error:
            return error.code, error.read()

    def ask(self, path, method="GET", body=None, user=ADMINISTRATOR):
        """Status and JSON of an answer."""
        status, answer = self.pass_on(path, method, None if body is None else json.dumps(body).encode(), user)
        return status, json.loads(answer) if answer.startswith((b"{", b"[")) else answer.decode()

    def must(self, path, method="GET", body=None, user=ADMINISTRATOR):
        """JSON of an answer that must be a success."""
        status, answer = self.ask(path, method, body, user)
        assert status in (200, 201), (method, path, status, answer)
        return answer


@contextlib.contextmanager
def secured_engine(scratch):
    """Starts a node, and waits until its users can log in."""
    home, config, port = installed(), scratch / "config", free_port()
    shutil.copytree(home / "plugins/opensearch-security/config", config / "opensearch-security")
    (config / "opensearch-security/roles_mapping.yml").write_text(ROLES_MAPPING)
    shutil.copy(home / "config/log4j2.properties", config)
    settings = SETTINGS.format(port=port, scratch=scratch) + "".join(LAYERS.format(layer=each) for each in ("http", "transport"))
    (config / "opensearch.yml").write_text(settings)
    certificates(config)
    logs = [f"-Dopensearch.logs.{name}={value}" for name, value in
            (("base_path", scratch / "logs"), ("cluster_name", "secured"), ("node_name", "secured"))]
    command = [java("java"), "-Xms512m", "-Xmx512m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", *logs,
               "-cp", f"{home}/lib/*", str(pathlib.Path(__file__).with_name("SecuredNode.java")), str(home), str(config)]
    log = scratch / "engine.log"
    with open(log, "wb") as stdout, process(command, scratch / "engine.errors", os.environ, stdout=stdout) as child:
        engine = SecuredEngine(f"https://127.0.0.1:{port}", config / "authority.pem")
        deadline = time.monotonic() + START_SECONDS
        while True:
            with contextlib.suppress(OSError):
                if engine.ask("_plugins/_security/authinfo")[0] == 200:
                    break
            if child.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError("OpenSearch did not start:\n" + log.read_text()[-4_000:])
            time.sleep(0.2)
        yield engine
