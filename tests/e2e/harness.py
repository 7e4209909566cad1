"""What the end-to-end tests share: one control plane, agents as local processes, sample objects."""

import atexit
import contextlib
import copy
import http.client
import json
import os
import re
import shutil
import signal
import ssl
import subprocess
import sys
import tempfile
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
sys.path.insert(0, os.path.join(ROOT, "tests", "cluster"))

import evlog  # noqa: E402
from cluster import ApiError, Cluster, Process, free_port, wait_for  # noqa: E402

BUILD = os.path.join(ROOT, "build")
AGENT = os.environ.get("EUCS_AGENT", os.path.join(BUILD, "eucs-agent"))
BIN = os.path.realpath(os.environ.get("EUCS_CLUSTER_BIN", os.path.join(BUILD, "cluster", "bin")))
CHART = os.path.join(ROOT, "helm", "eucs-agent")
SAMPLES = os.path.join(ROOT, "manifests", "samples")
RELEASE_NAMESPACE = "eucs-agent"
WEBHOOK_CONFIGURATION = "eucs-agent"
NODE = "node-a"
NAMESPACES = 150  # made before the first agent starts; a test takes one or two
PROBED = "probed"  # where the harness asks the API server whether it uses the webhook by now


# The world ------------------------------------------------------------------------------------

class World:
    """The one control plane of a run and its pool of namespaces."""

    def __init__(self):
        self.folder = tempfile.mkdtemp(prefix="eucs-e2e-")
        self.cluster = Cluster(os.path.join(self.folder, "cluster"), BIN)
        self._namespaces = [f"t{i:02d}" for i in range(NAMESPACES)]
        self._taken = 0
        self._agents = 0

    def start(self):
        self.cluster.start()
        api = self.cluster.api()
        for name in [RELEASE_NAMESPACE, PROBED, *self._namespaces]:
            api.create("/api/v1/namespaces", {"apiVersion": "v1", "kind": "Namespace",
                                              "metadata": {"name": name}})
        self.node_uid = self.cluster.make_node(NODE)["metadata"]["uid"]
        for name in [RELEASE_NAMESPACE, PROBED, *self._namespaces]:
            wait_for(f"ServiceAccount in {name}", lambda n=name: api.find(
                f"/api/v1/namespaces/{n}/serviceaccounts/default"))
        api.close()

    def stop(self):
        self.cluster.stop()
        if os.environ.get("EUCS_E2E_KEEP"):
            print(f"kept: {self.folder}", file=sys.stderr)
        else:
            shutil.rmtree(self.folder, ignore_errors=True)

    def namespace(self):
        """A namespace that no other test uses. It has no Pod Security label."""
        if self._taken == NAMESPACES:
            raise RuntimeError(f"the tests take more than NAMESPACES = {NAMESPACES} namespaces")
        self._taken += 1
        return self._namespaces[self._taken - 1]

    def agent_folder(self):
        self._agents += 1
        return os.path.join(self.folder, f"agent-{self._agents:02d}")


_world = None


def world():
    """The control plane, started at first use and stopped when the run ends."""
    global _world
    if _world is None:
        _world = World()
        atexit.register(_world.stop)
        _world.start()
    return _world


def cluster():
    return world().cluster


def need_agent():
    """Without a binary nothing here passes; say so in one line."""
    if not os.access(AGENT, os.X_OK):
        raise FileNotFoundError(f"{AGENT} is not built")


def run_agent(*args, stdin=None, seconds=60):
    """One call of the command line; returns the CompletedProcess. Its output is clean UTF-8."""
    return subprocess.run([AGENT, *args], input=stdin, capture_output=True, encoding="utf-8",
                          errors="strict", timeout=seconds, check=False)


# The agent ------------------------------------------------------------------------------------

class Agent:
    """One agent process with a folder of its own (configuration, evidence, sink file).

    Ports and folder stay the same over restarts, as those of a DaemonSet pod on its node do.
    """

    def __init__(self, kubeconfig=None, enforcement="deny", level="high", base=None,
                 settings=None):
        """`base`: a configuration document to start from, in place of `enforcement` and `level`;
        `settings`: more of them, by dotted path."""
        w = world()
        self.folder = w.agent_folder()
        os.makedirs(self.folder)
        self.webhook_port, self.web_port, self.health_port = (free_port() for _ in range(3))
        self.spool = self.path("evidence")
        self._log = evlog.Follower(self.spool)
        self.sink_file = self.path("events.jsonl")
        self.config = self.path("config.yaml")
        self.token = os.urandom(16).hex()
        with open(self.path("web.token"), "w", encoding="ascii") as f:
            f.write(self.token)
        self.pod_name = os.path.basename(self.folder)
        self._make_pod()
        self.settings = {
            "source.kind": "kubernetes",
            "source.kubeconfig": kubeconfig or w.cluster.admin_kubeconfig,
            "evidence.dir": self.spool,
            "webhook.address": "127.0.0.1",
            "webhook.port": self.webhook_port,
            "webhook.url": f"https://127.0.0.1:{self.webhook_port}",
            "webhook.name": WEBHOOK_CONFIGURATION,
            "web.address": "127.0.0.1",
            "web.port": self.web_port,
            "web.tokenFile": self.path("web.token"),
            "health.address": "127.0.0.1",
            "health.port": self.health_port,
            "seats.count": 1,
            "seats.namespace": RELEASE_NAMESPACE,
            "pod.name": self.pod_name,
            "node.name": NODE,
            "sinks": [{"name": "events", "type": "file", "path": self.sink_file,
                       "start": "oldest"}],
        }
        self.settings.update(settings or {})
        self.base = base or {"enforcement": enforcement, "level": level}
        self.write_config()
        self.process = Process("eucs-agent", [AGENT, "run", "--config", self.config],
                               self.path("agent.log"), self._environment())

    def path(self, name):
        return os.path.join(self.folder, name)

    def _make_pod(self):
        """The Pod that this process stands for: a seat labels its own Pod."""
        api = cluster().api()
        create(api, pod(RELEASE_NAMESPACE, self.pod_name))
        api.close()

    @staticmethod
    def _environment():
        env = {"PATH": os.environ.get("PATH", "/usr/bin:/bin")}
        for name in ("ASAN_OPTIONS", "UBSAN_OPTIONS", "TSAN_OPTIONS"):
            if name in os.environ:
                env[name] = os.environ[name]
        return env

    def write_config(self):
        tree = copy.deepcopy(self.base)
        for dotted, value in self.settings.items():
            *parents, last = dotted.split(".")
            at = tree
            for step in parents:
                at = at.setdefault(step, {})
            at[last] = value
        with open(self.config, "w", encoding="utf-8") as f:
            json.dump(tree, f, indent=2)  # JSON is YAML

    # Life ------------------------------------------------------------------------------------

    def start(self, seconds=60):
        self.process.start()
        self.process.wait_ready(self.ready, seconds)
        self.wait_asked(seconds)
        return self

    def wait_asked(self, seconds=30):
        """Wait until the API server asks this agent: it learns of a configuration by its own watch,
        some time after the agent wrote it."""
        api = cluster().api()
        probe = pod(PROBED, "probe", bad_pod_spec())

        def asked():
            try:
                create(api, probe, "?dryRun=All")
            except ApiError as e:
                return e.code == 403 and "pod-privileged" in str(e)
            return "pod-privileged" in " ".join(api.warnings)
        wait_for("answer of the webhook to the API server", asked, seconds, pause=0.02)
        api.close()

    def stop(self):
        """A clean end; returns the exit status."""
        return self.process.stop(signal.SIGTERM)

    def kill(self):
        self.process.stop(signal.SIGKILL)

    def restart(self):
        self.stop()
        self.start()

    def ready(self):
        connection = http.client.HTTPConnection("127.0.0.1", self.health_port, timeout=5)
        with contextlib.closing(connection):
            connection.request("GET", "/readyz")
            return connection.getresponse().status == 200

    def log(self):
        with open(self.process.log, encoding="utf-8", errors="replace") as f:
            return f.read()

    # Evidence --------------------------------------------------------------------------------

    def records(self, *types):
        """The records in the log, read from its segments; all, or those of some types."""
        found = self._log.records()
        return [r for r in found if r.type in types] if types else found

    def decisions(self, namespace=None, name=None):
        return [r for r in self.records("admission.decision") if _about(r, namespace, name)]

    def assessments(self, namespace=None, name=None, control=None, result=None):
        return [r for r in self.records("assessment") if _about(r, namespace, name) and
                control in (None, r.body["control"]) and result in (None, r.body["result"])]

    def wait_assessment(self, namespace, name, control, result, after=0, seconds=30):
        """The newest assessment of an object with that verdict, later than record `after`."""
        def look():
            found = self.assessments(namespace, name, control, result)
            return [r for r in found if r.id > (after or (0, 0))]
        return wait_for(f"assessment {control} {result} of {namespace}/{name}", look, seconds)[-1]

    def last_id(self):
        return self.records()[-1].id

    def export(self):
        """`evidence export` into a new folder; returns the folders of its epochs, sorted."""
        out = tempfile.mkdtemp(prefix="export-", dir=self.folder)
        done = run_agent("evidence", "export", "--log", self.spool, "--out", out)
        if done.returncode:
            raise AssertionError(f"evidence export: {done.stderr}")
        found = [os.path.join(out, n) for n in os.listdir(out)]
        return sorted(p for p in found if os.path.isdir(p))

    def sink_ids(self):
        """(epoch, seq) of every complete line that the file sink wrote."""
        ids = []
        with open(self.sink_file, encoding="utf-8") as f:
            for line in f:
                if line.endswith("\n"):
                    record = json.loads(line)
                    ids.append((int(record["origin"].rpartition("/")[2]), record["seq"]))
        return ids

    # HTTP ------------------------------------------------------------------------------------

    def fetch(self, port, path, method="GET", body=None, headers=None):
        """(status, text) of one request to a TLS port of the agent."""
        context = ssl.create_default_context()
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE  # who serves is what the API server checks
        connection = http.client.HTTPSConnection("127.0.0.1", port, timeout=10, context=context)
        with contextlib.closing(connection):
            connection.request(method, path, body, headers or {})
            answer = connection.getresponse()
            return answer.status, answer.read().decode(errors="replace")

    def metric(self, name, **labels):
        """Sum over all series of one metric that have these labels."""
        text = self.fetch(self.web_port, "/metrics", headers={
            "Authorization": "Bearer " + self.token})[1]
        found = re.findall(rf"^{name}(?:\{{([^}}]*)\}})? ([0-9.e+-]+)", text, re.M)
        wanted = {f'{k}="{v}"' for k, v in labels.items()}
        return sum(float(v) for has, v in found if wanted <= set(has.split(",")))


def _about(record, namespace, name):
    obj = record.body.get("object") or {}
    return (namespace in (None, obj.get("namespace"))) and (name in (None, obj.get("name")))


@contextlib.contextmanager
def running_agent(**options):
    """An agent for the length of a block; whatever happens it is gone afterwards."""
    agent = Agent(**options)
    try:
        yield agent.start()
    finally:
        agent.stop()
        forget_webhooks()


def forget_webhooks():
    """Remove what an agent left in the API, so that the next test starts without a webhook, and
    its agent need not wait for the end of a killed one's Lease."""
    api = cluster().api()
    for path in ("/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations",
                 f"/apis/coordination.k8s.io/v1/namespaces/{RELEASE_NAMESPACE}/leases"):
        for item in api.get(path)["items"]:
            api.delete(f"{path}/{item['metadata']['name']}")
    api.close()


class AgentCase(unittest.TestCase):
    """Tests that share one agent, started before the first and stopped after the last."""

    options = {}
    maxDiff = 4000

    @classmethod
    def before_agent(cls):
        """Objects that must be older than the agent are made here."""

    @classmethod
    def setUpClass(cls):
        need_agent()
        cls.cluster = cluster()
        cls.api = cls.cluster.api()
        cls.before_agent()
        cls.agent = Agent(**cls.options)
        cls.addClassCleanup(forget_webhooks)
        cls.addClassCleanup(cls.agent.stop)
        cls.agent.start()

    def setUp(self):
        self.ns = world().namespace()

    # Doing things as a user does -------------------------------------------------------------

    def kubectl(self, *args, **options):
        return self.cluster.kubectl(*args, **options)

    def apply(self, *objects, dry_run=False):
        """`kubectl apply` of some objects from stdin."""
        text = json.dumps({"apiVersion": "v1", "kind": "List", "items": list(objects)})
        flags = ["--dry-run=server"] if dry_run else []
        return self.kubectl("apply", "-f", "-", *flags, stdin=text)

    def assert_admitted(self, done):
        self.assertEqual(done.code, 0, str(done))

    def assert_denied(self, done, *words):
        """kubectl failed, by our webhook, with every one of `words` in its message."""
        self.assertNotEqual(done.code, 0, str(done))
        self.assertIn("denied the request", done.err, str(done))
        for word in words:
            self.assertIn(word, done.err, str(done))

    def assert_refused(self, call, *words):
        """The same for a call of the raw API; returns the error."""
        with self.assertRaises(ApiError) as caught:
            call()
        error = caught.exception
        self.assertEqual(error.code, 403, str(error))
        self.assertIn("denied the request", str(error))
        for word in words:
            self.assertIn(word, str(error))
        return error


# Objects --------------------------------------------------------------------------------------

IMAGE = "registry.example.eu/shop/web@sha256:" + "ab" * 32
PRIVILEGED = {"privileged": True}


def good_container(name="web"):
    return {
        "name": name, "image": IMAGE, "imagePullPolicy": "Always",
        "ports": [{"containerPort": 8080}],
        "securityContext": {
            "allowPrivilegeEscalation": False, "privileged": False,
            "readOnlyRootFilesystem": True, "runAsNonRoot": True, "runAsUser": 10001,
            "runAsGroup": 10001, "capabilities": {"drop": ["ALL"]},
            "seccompProfile": {"type": "RuntimeDefault"}},
        "resources": {"requests": {"cpu": "100m", "memory": "64Mi"},
                      "limits": {"cpu": "200m", "memory": "64Mi"}},
        "livenessProbe": {"httpGet": {"path": "/livez", "port": 8080}},
        "readinessProbe": {"httpGet": {"path": "/readyz", "port": 8080}},
    }


def good_pod_spec():
    return {
        "automountServiceAccountToken": False,
        "securityContext": {"runAsNonRoot": True, "runAsUser": 10001, "runAsGroup": 10001,
                            "fsGroup": 10001, "seccompProfile": {"type": "RuntimeDefault"}},
        "containers": [good_container()],
    }


def bad_pod_spec(**security):
    """The good one, with a container named `bad` beside it (privileged unless told otherwise)."""
    spec = good_pod_spec()
    worse = good_container("bad")
    del worse["ports"], worse["livenessProbe"], worse["readinessProbe"]
    if security.get("privileged", not security):
        del worse["securityContext"]["allowPrivilegeEscalation"]  # the API refuses both at once
    worse["securityContext"].update(security or PRIVILEGED)
    spec["containers"].append(worse)
    return spec


def pod(namespace, name, spec=None, labels=None):
    return {"apiVersion": "v1", "kind": "Pod",
            "metadata": {"name": name, "namespace": namespace,
                         "labels": labels or {"app": name}},
            "spec": copy.deepcopy(spec or good_pod_spec())}


def workload(kind, namespace, name, spec=None, replicas=1):
    """A Deployment, ReplicaSet, StatefulSet, DaemonSet, Job or CronJob around a Pod spec."""
    labels = {"app": name}
    template = {"metadata": {"labels": labels}, "spec": copy.deepcopy(spec or good_pod_spec())}
    meta = {"name": name, "namespace": namespace, "labels": labels}
    if kind in ("Job", "CronJob"):
        template["spec"]["restartPolicy"] = "Never"
        body = {"template": template}
        if kind == "CronJob":
            body = {"schedule": "* * * * *", "jobTemplate": {"spec": body}}
        return {"apiVersion": "batch/v1", "kind": kind, "metadata": meta, "spec": body}
    body = {"selector": {"matchLabels": labels}, "template": template}
    if kind != "DaemonSet":
        body["replicas"] = replicas
    if kind == "Deployment":
        # No Pod ever becomes ready here, and a rolling update would wait for that.
        body["strategy"] = {"type": "Recreate"}
    if kind == "StatefulSet":
        body["serviceName"] = name
    return {"apiVersion": "apps/v1", "kind": kind, "metadata": meta, "spec": body}


def deployment(namespace, name, spec=None, replicas=1):
    return workload("Deployment", namespace, name, spec, replicas)


_PATHS = {
    "Pod": "/api/v1/namespaces/{}/pods", "Service": "/api/v1/namespaces/{}/services",
    "ConfigMap": "/api/v1/namespaces/{}/configmaps",
    "Deployment": "/apis/apps/v1/namespaces/{}/deployments",
    "ReplicaSet": "/apis/apps/v1/namespaces/{}/replicasets",
    "StatefulSet": "/apis/apps/v1/namespaces/{}/statefulsets",
    "DaemonSet": "/apis/apps/v1/namespaces/{}/daemonsets",
    "Job": "/apis/batch/v1/namespaces/{}/jobs",
    "CronJob": "/apis/batch/v1/namespaces/{}/cronjobs",
    "RoleBinding": "/apis/rbac.authorization.k8s.io/v1/namespaces/{}/rolebindings",
    "ClusterRoleBinding": "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings",
}


def path_of(kind, namespace="", name=None):
    """The API path of a collection, or of one object in it."""
    base = _PATHS[kind].format(namespace)
    return f"{base}/{name}" if name else base


def create(api, obj, query=""):
    return api.create(path_of(obj["kind"], obj["metadata"].get("namespace", "")) + query, obj)


def pods_of(api, namespace, app):
    """The Pods with label app=`app` that are not on their way out."""
    items = api.get(path_of("Pod", namespace) + f"?labelSelector=app%3D{app}")["items"]
    return [p for p in items if "deletionTimestamp" not in p["metadata"]]
