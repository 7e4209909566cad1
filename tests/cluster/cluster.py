#!/usr/bin/python3
"""A real Kubernetes control plane on loopback ports, for tests.

etcd, kube-apiserver and kube-controller-manager run as local processes in a work folder, with
certificates of their own. There is no kubelet and no scheduler: a node is a Node object, a Pod
stays Pending, but the controllers make ReplicaSets and Pods as everywhere.

As a library: `Cluster(folder, binaries)`, then start, stop, restart_api, stop_api, start_api,
kubectl, api. As a program, to look around by hand:

    tests/cluster/cluster.py run [--dir DIR] [--bin DIR]     runs until Ctrl-C
"""

import argparse
import base64
import ctypes
import http.client
import json
import os
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import pki  # noqa: E402

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
DEFAULT_BIN = os.path.join(ROOT, "build", "cluster", "bin")

START_SECONDS = 90  # a loaded two-core machine needs about 15
STOP_SECONDS = 20  # what a process gets between SIGTERM and SIGKILL

AUDIT_POLICY = """\
apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
rules:
- level: None
  verbs: [get, list, watch]
- level: None
  resources: [{group: coordination.k8s.io}, {group: "", resources: [events]}]
- level: Metadata
"""

KUBECONFIG = """\
apiVersion: v1
kind: Config
current-context: test
clusters:
- name: test
  cluster:
    server: {server}
    certificate-authority: {ca}
contexts:
- name: test
  context: {{cluster: test, user: {user}}}
users:
- name: {user}
  user:
{credential}
"""


def free_port():
    """A loopback port that nobody listens on now."""
    with socket.socket() as s:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def wait_for(what, check, seconds=START_SECONDS, pause=0.1):
    """Call `check` until it returns something true and return that; TimeoutError says `what`.

    OSError and AssertionError count as "not yet"; the last one is part of the message.
    """
    end = time.monotonic() + seconds
    last = None
    while True:
        try:
            value = check()
            if value:
                return value
        except (OSError, AssertionError, http.client.HTTPException) as e:
            last = e
        if time.monotonic() > end:
            raise TimeoutError(f"no {what} within {seconds:g} s" + (f" ({last})" if last else ""))
        time.sleep(pause)


def _die_with_parent():
    """In the child: SIGKILL when the parent goes, so that a killed test run leaves nothing.

    The parent is the thread that started it, so a thread that ends must not start a process.
    """
    ctypes.CDLL(None, use_errno=True).prctl(1, signal.SIGKILL)


class Process:
    """A child process with its output in a file, started again with the same command at will."""

    def __init__(self, name, command, log, env=None):
        self.name = name
        self.command = command
        self.log = log
        self.env = env
        self._child = None

    @property
    def pid(self):
        return self._child.pid

    def running(self):
        return self._child is not None and self._child.poll() is None

    def start(self):
        if self.running():
            raise RuntimeError(f"{self.name} runs already")
        with open(self.log, "ab") as out:
            self._child = subprocess.Popen(self.command, stdin=subprocess.DEVNULL, stdout=out,
                                           stderr=subprocess.STDOUT, env=self.env,
                                           preexec_fn=_die_with_parent)

    def stop(self, sig=signal.SIGTERM, seconds=STOP_SECONDS):
        """Send `sig`, wait, SIGKILL when it takes too long; returns the exit status or None."""
        if self._child is None:
            return None
        if self._child.poll() is None:
            self._child.send_signal(sig)
            try:
                self._child.wait(seconds)
            except subprocess.TimeoutExpired:
                self._child.kill()
                self._child.wait()
        return self._child.returncode

    def wait(self, seconds):
        """Wait for the process to end by itself; returns its exit status."""
        return self._child.wait(seconds)

    def tail(self, lines=15):
        """The end of its output, for messages."""
        with open(self.log, "rb") as f:
            f.seek(max(0, os.path.getsize(self.log) - 16384))
            return b"\n".join(f.read().splitlines()[-lines:]).decode(errors="replace")

    def wait_ready(self, check, seconds=START_SECONDS):
        """Wait until `check` is true; a process that ended before is an error with its output."""
        def ready():
            if not self.running():
                raise RuntimeError(f"{self.name} ended with {self._child.returncode}:\n"
                                   f"{self.tail()}")
            return check()
        try:
            wait_for(f"answer of {self.name}", ready, seconds)
        except TimeoutError as e:
            raise TimeoutError(f"{e}:\n{self.tail()}") from None


class ApiError(Exception):
    """An answer of the API server that is not 2xx: .code, .status (metav1.Status or None)."""

    def __init__(self, code, body):
        self.code = code
        try:
            self.status = json.loads(body)
            text = self.status.get("message", "")
        except ValueError:
            self.status = None
            text = body[:500].decode(errors="replace")
        super().__init__(f"{code}: {text}")


class Api:
    """A plain keep-alive client of the API server. Not for use by two threads at a time."""

    def __init__(self, port, context, token=None):
        self._port = port
        self._context = context
        self._token = token
        self._connection = None
        self.warnings = []  # of the last answer

    def close(self):
        if self._connection:
            self._connection.close()
            self._connection = None

    def _send(self, method, path, body, headers):
        if self._connection is None:
            self._connection = http.client.HTTPSConnection("127.0.0.1", self._port, timeout=60,
                                                           context=self._context)
        try:
            self._connection.request(method, path, body, headers)
            answer = self._connection.getresponse()
            return answer, answer.read()
        except (OSError, http.client.HTTPException):
            self.close()
            raise

    def call(self, method, path, body=None, content_type="application/json"):
        """One request; returns the decoded JSON (or the text) of a 2xx, else raises ApiError."""
        headers = {"Accept": "application/json"}
        if self._token:
            headers["Authorization"] = "Bearer " + self._token
        if body is not None:
            headers["Content-Type"] = content_type
            if not isinstance(body, (bytes, str)):
                body = json.dumps(body)
        answer, data = self._send(method, path, body, headers)
        self.warnings = answer.headers.get_all("Warning") or []
        if not 200 <= answer.status < 300:
            raise ApiError(answer.status, data)
        if "json" in answer.headers.get("Content-Type", ""):
            return json.loads(data)
        return data.decode()

    def get(self, path):
        return self.call("GET", path)

    def find(self, path):
        """Like get, but None for 404."""
        try:
            return self.call("GET", path)
        except ApiError as e:
            if e.code == 404:
                return None
            raise

    def create(self, path, obj):
        return self.call("POST", path, obj)

    def replace(self, path, obj):
        return self.call("PUT", path, obj)

    def patch(self, path, patch, kind="merge"):
        """`kind`: merge, strategic-merge, json."""
        suffix = "json-patch+json" if kind == "json" else kind + "-patch+json"
        return self.call("PATCH", path, patch, "application/" + suffix)

    def delete(self, path, options=None):
        return self.call("DELETE", path, options)


class Kubectl:
    """Result of one kubectl call."""

    def __init__(self, args, done):
        self.args = args
        self.code = done.returncode
        self.out = done.stdout
        self.err = done.stderr

    def __str__(self):
        return f"kubectl {' '.join(self.args)} -> {self.code}\n{self.out}{self.err}"

    def json(self):
        return json.loads(self.out)


class Cluster:
    """The control plane; everything it writes lies in `folder`."""

    def __init__(self, folder, binaries=DEFAULT_BIN):
        self.folder = os.path.abspath(folder)
        self.binaries = os.path.realpath(binaries)
        for name in ("etcd", "kube-apiserver", "kube-controller-manager", "kubectl"):
            if not os.access(os.path.join(self.binaries, name), os.X_OK):
                raise FileNotFoundError(f"{self.binaries}/{name} is missing: run "
                                        "tests/cluster/build.sh")
        for sub in ("pki", "log", "home"):
            os.makedirs(os.path.join(self.folder, sub), exist_ok=True)
        os.chmod(self.folder, 0o700)
        self.port = free_port()
        self.etcd_port = free_port()
        self.server = f"https://127.0.0.1:{self.port}"
        self.ca = pki.Authority(self.path("pki"))
        self.audit_log = self.path("log", "audit.jsonl")
        self._make_service_account_keys()
        self.etcd = self._etcd()
        self.api_server = self._api_server()
        self.controllers = self._controllers()
        self.admin_kubeconfig = self.kubeconfig_cert("admin", "/O=system:masters/CN=test-admin")

    # Files -----------------------------------------------------------------------------------

    def path(self, *parts):
        return os.path.join(self.folder, *parts)

    def _make_service_account_keys(self):
        self.sa_key = self.path("pki", "sa.key")
        self.sa_pub = self.path("pki", "sa.pub")
        if not os.path.exists(self.sa_pub):
            pki.make_key(self.sa_key)
            pki.openssl("pkey", "-in", self.sa_key, "-pubout", "-out", self.sa_pub)

    def _write_kubeconfig(self, name, credential, server=None):
        path = self.path(name + ".kubeconfig")
        with open(path, "w", encoding="utf-8") as f:
            f.write(KUBECONFIG.format(server=server or self.server, ca=self.ca.crt, user=name,
                                      credential=credential))
        os.chmod(path, 0o600)
        return path

    def kubeconfig_cert(self, name, subject, inline=False):
        """A kubeconfig with a client certificate for `subject`; returns its path."""
        crt, key = self.ca.issue(name, subject)
        if inline:
            data = [base64.b64encode(pki.read_text(p).encode()).decode() for p in (crt, key)]
            credential = (f"    client-certificate-data: {data[0]}\n"
                          f"    client-key-data: {data[1]}")
        else:
            credential = f"    client-certificate: {crt}\n    client-key: {key}"
        return self._write_kubeconfig(name, credential)

    def kubeconfig_token(self, name, token, in_file=False, server=None):
        """A kubeconfig with a bearer token, in place or by `tokenFile`; returns its path."""
        if not in_file:
            return self._write_kubeconfig(name, f"    token: {token}", server)
        path = self.path(name + ".token")
        with open(path, "w", encoding="ascii") as f:
            f.write(token + "\n")
        os.chmod(path, 0o600)
        return self._write_kubeconfig(name, f"    tokenFile: {path}")

    def kubeconfig_exec(self, name, token):
        """A kubeconfig whose exec plugin prints `token`; returns (kubeconfig, call log).

        The plugin appends a line to the call log each time, and its token is said to end after
        30 s so that a client that honours expirationTimestamp calls it again.
        """
        calls = self.path(name + ".calls")
        secret = self.path(name + ".token")
        plugin = self.path(name + ".plugin")
        with open(secret, "w", encoding="ascii") as f:
            f.write(token)
        os.chmod(secret, 0o600)
        with open(plugin, "w", encoding="utf-8") as f:
            f.write('#!/bin/sh\n'
                    'echo "$1 ${KUBERNETES_EXEC_INFO:-none}" >>"$EXEC_CALLS"\n'
                    'printf \'{"apiVersion":"client.authentication.k8s.io/v1",'
                    '"kind":"ExecCredential","status":{"token":"%s",'
                    '"expirationTimestamp":"%s"}}\\n\' "$(cat "$2")" '
                    '"$(date -u -d "+30 seconds" +%Y-%m-%dT%H:%M:%SZ)"\n')
        os.chmod(plugin, 0o700)
        return self._write_kubeconfig(name, (
            "    exec:\n"
            "      apiVersion: client.authentication.k8s.io/v1\n"
            f"      command: {plugin}\n"
            f"      args: [get-token, {secret}]\n"
            f"      env: [{{name: EXEC_CALLS, value: {calls}}}]\n"
            "      interactiveMode: Never\n"
            "      provideClusterInfo: true")), calls

    # Processes -------------------------------------------------------------------------------

    def _process(self, name, *flags):
        command = [os.path.join(self.binaries, name), *flags]
        env = {"PATH": os.environ.get("PATH", "/usr/bin:/bin"), "HOME": self.path("home")}
        return Process(name, command, self.path("log", name + ".log"), env)

    def _etcd(self):
        sans = ("IP:127.0.0.1", "DNS:localhost")
        self._etcd_pair = self.ca.issue("etcd", "/CN=etcd", sans)
        crt, key = self._etcd_pair
        url, peer = f"https://127.0.0.1:{self.etcd_port}", f"https://127.0.0.1:{free_port()}"
        return self._process(
            "etcd", "--name=test", "--data-dir=" + self.path("etcd"),
            "--listen-client-urls=" + url, "--advertise-client-urls=" + url,
            "--listen-peer-urls=" + peer, "--initial-advertise-peer-urls=" + peer,
            "--initial-cluster=test=" + peer, "--unsafe-no-fsync",
            "--cert-file=" + crt, "--key-file=" + key,
            "--client-cert-auth", "--trusted-ca-file=" + self.ca.crt,
            "--peer-cert-file=" + crt, "--peer-key-file=" + key,
            "--peer-client-cert-auth", "--peer-trusted-ca-file=" + self.ca.crt,
            "--log-level=warn")

    def _api_server(self):
        crt, key = self.ca.issue("kube-apiserver", "/CN=kube-apiserver", (
            "IP:127.0.0.1", "IP:10.96.0.1", "DNS:localhost", "DNS:kubernetes",
            "DNS:kubernetes.default", "DNS:kubernetes.default.svc"))
        policy = self.path("audit-policy.yaml")
        with open(policy, "w", encoding="utf-8") as f:
            f.write(AUDIT_POLICY)
        etcd_crt, etcd_key = self._etcd_pair
        return self._process(
            "kube-apiserver", "--bind-address=127.0.0.1", f"--secure-port={self.port}",
            "--advertise-address=127.0.0.1", "--endpoint-reconciler-type=none",
            "--enable-aggregator-routing=true",  # no kube-proxy: webhooks go to the endpoints
            "--tls-cert-file=" + crt, "--tls-private-key-file=" + key,
            "--client-ca-file=" + self.ca.crt,
            f"--etcd-servers=https://127.0.0.1:{self.etcd_port}",
            "--etcd-cafile=" + self.ca.crt, "--etcd-certfile=" + etcd_crt,
            "--etcd-keyfile=" + etcd_key,
            "--authorization-mode=Node,RBAC", "--allow-privileged=true",
            "--service-cluster-ip-range=10.96.0.0/16",
            "--service-account-issuer=https://kubernetes.default.svc",
            "--service-account-key-file=" + self.sa_pub,
            "--service-account-signing-key-file=" + self.sa_key,
            "--audit-log-path=" + self.audit_log, "--audit-policy-file=" + policy,
            "--profiling=false")

    def _controllers(self):
        kubeconfig = self.kubeconfig_cert("controllers", "/CN=system:kube-controller-manager")
        self.controllers_port = free_port()
        # Without kubelets every Node would be tainted after 40 s; tests want it to stay as made.
        return self._process(
            "kube-controller-manager", "--kubeconfig=" + kubeconfig,
            "--bind-address=127.0.0.1", f"--secure-port={self.controllers_port}",
            "--service-account-private-key-file=" + self.sa_key,
            "--root-ca-file=" + self.ca.crt, "--use-service-account-credentials=true",
            "--controllers=*,-node-lifecycle-controller", "--leader-elect=false",
            "--kube-api-qps=200", "--kube-api-burst=400", "--profiling=false")

    def _client_context(self, pair=None):
        context = ssl.create_default_context(cafile=self.ca.crt)
        if pair:
            context.load_cert_chain(*pair)
        return context

    def _etcd_healthy(self):
        return "true" in str(self._etcd_call("GET", "/health"))

    def _etcd_call(self, method, path, body=None):
        api = Api(self.etcd_port, self._client_context(self._etcd_pair))
        try:
            return api.call(method, path, body)
        finally:
            api.close()

    def _api_ready(self):
        try:
            return self.api().get("/readyz") == "ok"
        except ApiError:
            return False

    def _controllers_ready(self):
        """The controllers work when the default ServiceAccount and the root CA are in place."""
        api = self.api()
        base = "/api/v1/namespaces/default/"
        return (api.find(base + "serviceaccounts/default") and
                api.find(base + "configmaps/kube-root-ca.crt"))

    def start(self):
        """Start everything and wait until it works."""
        self.etcd.start()
        self.etcd.wait_ready(self._etcd_healthy)
        self.start_api()
        self.start_controllers()

    def start_api(self):
        """Controllers that run are started again: they would back off for up to a minute."""
        self.api_server.start()
        self.api_server.wait_ready(self._api_ready)
        if self.controllers.running():
            self.controllers.stop(signal.SIGKILL)
            self.start_controllers()

    def stop_api(self, sig=signal.SIGTERM):
        """End the API server alone (SIGTERM, or SIGKILL for a crash).

        With open watches its graceful end takes up to a minute; three seconds are enough here.
        """
        return self.api_server.stop(sig, seconds=3)

    def restart_api(self, sig=signal.SIGTERM):
        self.stop_api(sig)
        self.start_api()

    def start_controllers(self):
        self.controllers.start()
        self.controllers.wait_ready(self._controllers_ready)

    def stop_controllers(self):
        return self.controllers.stop()

    def stop(self):
        for process in (self.controllers, self.api_server, self.etcd):
            process.stop()

    def processes(self):
        return [self.etcd, self.api_server, self.controllers]

    def compact(self):
        """Throw etcd's history away, so that old resource versions and continue tokens expire."""
        revision = self._etcd_call("POST", "/v3/kv/range", {"key": "AA=="})["header"]["revision"]
        self._etcd_call("POST", "/v3/kv/compaction", {"revision": revision})

    # Clients ---------------------------------------------------------------------------------

    def api(self, token=None, user=None):
        """A client: the administrator's, a token's, or of a `user` known to kubeconfig_cert."""
        if token:
            return Api(self.port, self._client_context(), token)
        base = self.path("pki", user or "admin")
        return Api(self.port, self._client_context((base + ".crt", base + ".key")))

    def kubectl(self, *args, kubeconfig=None, stdin=None, check=False, seconds=60):
        """Run the real kubectl; returns a Kubectl. With `check` a failure raises."""
        command = [os.path.join(self.binaries, "kubectl"),
                   "--kubeconfig=" + (kubeconfig or self.admin_kubeconfig), *args]
        env = {"PATH": os.environ.get("PATH", "/usr/bin:/bin"), "HOME": self.path("home"),
               "KUBECACHEDIR": self.path("home", "cache")}
        done = subprocess.run(command, input=stdin, capture_output=True, text=True, env=env,
                              timeout=seconds, check=False)
        result = Kubectl(args, done)
        if check and result.code:
            raise AssertionError(str(result))
        return result

    def token(self, account, namespace, seconds=3600):
        """A bound token of a service account, as `kubectl create token` makes it."""
        path = f"/api/v1/namespaces/{namespace}/serviceaccounts/{account}/token"
        request = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest",
                   "spec": {"expirationSeconds": seconds}}
        return self.api().create(path, request)["status"]["token"]

    def make_namespace(self, name, labels=None):
        """Create a namespace and wait for its default ServiceAccount, which every Pod needs."""
        api = self.api()
        api.create("/api/v1/namespaces", {"apiVersion": "v1", "kind": "Namespace",
                                          "metadata": {"name": name, "labels": labels or {}}})
        wait_for(f"default ServiceAccount in {name}", lambda: api.find(
            f"/api/v1/namespaces/{name}/serviceaccounts/default"))
        return name

    def make_node(self, name):
        """A Node object that says it is ready; no kubelet stands behind it."""
        api = self.api()
        labels = {"kubernetes.io/os": "linux", "kubernetes.io/hostname": name}  # as a kubelet's
        api.create("/api/v1/nodes", {"apiVersion": "v1", "kind": "Node",
                                     "metadata": {"name": name, "labels": labels}})
        # Admission taints a new Node as not ready; no kubelet will ever take that away.
        api.patch(f"/api/v1/nodes/{name}", {"spec": {"taints": None}})
        # A patch without a resourceVersion: controllers write to a new Node at the same time.
        return api.patch(f"/api/v1/nodes/{name}/status", {"status": {"conditions": [
            {"type": "Ready", "status": "True", "reason": "Test", "message": "made by a test"}]}})

    def audit_events(self):
        """The API server's audit log so far, one dict an event."""
        with open(self.audit_log, encoding="utf-8") as f:
            return [json.loads(line) for line in f if line.endswith("\n")]


def main():
    parser = argparse.ArgumentParser(description="Run a test control plane until Ctrl-C.")
    parser.add_argument("command", choices=["run"])
    parser.add_argument("--dir", default=os.path.join(ROOT, "build", "cluster", "run"))
    parser.add_argument("--bin", default=DEFAULT_BIN)
    options = parser.parse_args()
    shutil.rmtree(options.dir, ignore_errors=True)
    cluster = Cluster(options.dir, options.bin)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    try:
        cluster.start()
        print(f"{cluster.server} is up; in another terminal:\n"
              f"  export KUBECONFIG={cluster.admin_kubeconfig}\n"
              f"  {cluster.binaries}/kubectl get namespaces", flush=True)
        while all(p.running() for p in cluster.processes()):
            time.sleep(1)
        print("a process ended:", [p.name for p in cluster.processes() if not p.running()])
        return 1
    except KeyboardInterrupt:
        return 0
    finally:
        cluster.stop()


if __name__ == "__main__":
    sys.exit(main())
