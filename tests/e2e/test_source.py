"""How the agent asks the API server: pages that expire, a server that says when to come back."""

import concurrent.futures
import contextlib
import socket
import threading
import time
import unittest

from harness import (Agent, ApiError, bad_pod_spec, cluster, create, forget_webhooks, need_agent,
                     path_of, pod, wait_for, world)
from proxy import Proxy

CONFIG_MAPS = 600  # a page has 500 objects
FLOW_CONTROL = "/apis/flowcontrol.apiserver.k8s.io/v1"


class ThroughProxy(unittest.TestCase):
    """An agent that talks to the API server through a proxy which sees every exchange."""

    def setUp(self):
        need_agent()
        self.cluster = cluster()
        self.api = self.cluster.api()
        self.ns = world().namespace()
        name = f"agent-{self.ns}"
        self.addCleanup(self.delete, path_of("ClusterRoleBinding", name=name))
        create(self.api, {
            "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding",
            "metadata": {"name": name},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole",
                        "name": "cluster-admin"},
            "subjects": [{"kind": "ServiceAccount", "name": "default", "namespace": self.ns}]})
        self.proxy = Proxy(self.cluster)
        self.addCleanup(self.proxy.stop)
        self.addCleanup(forget_webhooks)
        self.token = self.cluster.token("default", self.ns)
        self.agent = Agent(enforcement="warn", kubeconfig=self.cluster.kubeconfig_token(
            f"proxy-{self.ns}", self.token, server=self.proxy.url))
        self.addCleanup(self.agent.stop)

    def delete(self, path):
        api = self.cluster.api()  # an older connection may not have outlived the API server
        api.delete(path)
        api.close()

    def exchanges(self, *words):
        """The GETs whose path has all of these words, in the order of their answers."""
        return [e for e in list(self.proxy.exchanges) if e.method == "GET" and
                all(w in e.path for w in words)]


class Pages(ThroughProxy):
    def config_map(self, name, data):
        create(self.api_of_thread(), {
            "apiVersion": "v1", "kind": "ConfigMap", "data": data,
            "metadata": {"name": name, "namespace": self.ns}})

    def api_of_thread(self):
        if not hasattr(self.local, "api"):
            self.local.api = self.cluster.api()
        return self.local.api

    def test_a_continue_token_that_expires_between_two_pages(self):
        self.local = threading.local()
        with concurrent.futures.ThreadPoolExecutor(4) as pool:
            list(pool.map(lambda i: self.config_map(f"c{i:04d}", {"n": str(i)}),
                          range(CONFIG_MAPS)))
        self.config_map("zz", {"DB_PASSWORD": "hunter2-and-more"})
        second_page, expired = threading.Event(), threading.Event()

        def before(_, path):
            if "configmaps" in path and "continue=" in path:
                second_page.set()
                expired.wait(60)
        self.proxy.before = before
        self.agent.process.start()
        self.assertTrue(second_page.wait(30), "the list had one page")
        self.config_map("late", {"API_KEY": "k3y-0f-the-late-one"})
        self.cluster.compact()
        self.cluster.restart_api()  # its watch cache could still serve the old version
        expired.set()
        self.agent.process.wait_ready(self.agent.ready, 60)
        for name in ("zz", "late"):  # the last page, and what is only in the second list
            self.agent.wait_assessment(self.ns, name, "sec-in-configmap", "fail", seconds=60)
        gone = [e for e in self.exchanges("configmaps", "continue=") if e.status == 410]
        self.assertEqual(len(gone), 1)
        whole = [e for e in self.exchanges("/configmaps") if e.answered > gone[0].answered and
                 "continue=" not in e.path and "watch=" not in e.path]
        self.assertEqual([e.status for e in whole], [200], "one whole list must follow")
        there = len(cluster().api().get("/api/v1/configmaps")["items"])
        wait_for("every ConfigMap", lambda: self.agent.metric(
            "eucs_agent_watch_objects", resource="configmaps") == there, 30)


class Throttled(ThroughProxy):
    """The API server's own flow control refuses the agent's lists with 429 and Retry-After."""

    def throttle(self, name):
        """No concurrency for this account; even so one request runs at a time, so one must hang."""
        self.addCleanup(self.delete, f"{FLOW_CONTROL}/prioritylevelconfigurations/{name}")
        self.api.create(f"{FLOW_CONTROL}/prioritylevelconfigurations", {
            "apiVersion": "flowcontrol.apiserver.k8s.io/v1", "kind": "PriorityLevelConfiguration",
            "metadata": {"name": name},
            "spec": {"type": "Limited", "limited": {
                "nominalConcurrencyShares": 0, "borrowingLimitPercent": 0,
                "limitResponse": {"type": "Reject"}}}})
        self.api.create(f"{FLOW_CONTROL}/flowschemas", {
            "apiVersion": "flowcontrol.apiserver.k8s.io/v1", "kind": "FlowSchema",
            "metadata": {"name": name},
            "spec": {"priorityLevelConfiguration": {"name": name}, "matchingPrecedence": 2,
                     "rules": [{"subjects": [{"kind": "ServiceAccount", "serviceAccount": {
                         "name": "default", "namespace": self.ns}}],
                         "resourceRules": [
                             {"verbs": ["list", "watch"], "apiGroups": ["*"], "resources": ["*"],
                              "clusterScope": True, "namespaces": ["*"]},
                             {"verbs": ["create"], "apiGroups": [""], "resources": ["configmaps"],
                              "namespaces": [self.ns]}]}]}})
        self.hang(name)
        client = self.cluster.api(token=self.token)

        def refused():
            try:
                client.get("/api/v1/pods?limit=1")
            except ApiError as e:
                return e.code == 429
            return False
        wait_for("refusal", refused, 25)
        client.close()

    def hang(self, name):
        """A request of this account that waits for a webhook which never answers."""
        silent = socket.create_server(("127.0.0.1", 0))
        self.addCleanup(silent.close)
        port = silent.getsockname()[1]
        path = "/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations"
        self.api.create(path, {  # forget_webhooks removes it
            "apiVersion": "admissionregistration.k8s.io/v1",
            "kind": "ValidatingWebhookConfiguration", "metadata": {"name": name},
            "webhooks": [{
                "name": "silent.example.eu", "clientConfig": {"url": f"https://127.0.0.1:{port}/"},
                "rules": [{"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"],
                           "resources": ["configmaps"]}],
                "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": self.ns}},
                "timeoutSeconds": 30, "failurePolicy": "Ignore", "sideEffects": "None",
                "admissionReviewVersions": ["v1"]}]})

        def create_until_one_hangs():
            api, began = self.cluster.api(token=self.token), time.monotonic()
            # The API server learns of the webhook by its own watch, so the first may pass.
            while time.monotonic() - began < 20:
                with contextlib.suppress(ApiError, OSError):
                    create(api, {"apiVersion": "v1", "kind": "ConfigMap",
                                 "metadata": {"generateName": "h", "namespace": self.ns}})
        threading.Thread(target=create_until_one_hangs, daemon=True).start()

    def test_retry_after_is_kept(self):
        create(self.api, pod(self.ns, "bad", bad_pod_spec()))
        name = f"none-{self.ns}"
        self.throttle(name)
        self.agent.process.start()
        refused = wait_for("three refusals of the same list", lambda: [
            e for e in self.exchanges("/api/v1/pods?") if e.status == 429][2:], 60)
        self.assertFalse(self.agent.ready())
        self.assertTrue(all(e.retry_after for e in refused), "the server gave no Retry-After")
        self.api.delete(f"{FLOW_CONTROL}/flowschemas/{name}")
        self.agent.process.wait_ready(self.agent.ready, 60)
        self.agent.wait_assessment(self.ns, "bad", "pod-privileged", "fail", seconds=60)
        paths = {e.path.partition("?")[0] for e in self.exchanges() if e.status == 429}
        self.assertGreater(len(paths), 5)
        for path in paths:
            asked = self.exchanges(path + "?")
            for one, next_one in zip(asked, asked[1:]):
                if one.status == 429:
                    self.assertGreaterEqual(next_one.asked - one.answered, one.retry_after - 0.05,
                                            path)
