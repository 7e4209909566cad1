"""The watch: what was there before the agent, what changed while it was away, and recovery."""

import json
import signal
import unittest

from harness import (Agent, AgentCase, bad_pod_spec, cluster, create, deployment, evlog,
                     forget_webhooks, need_agent, path_of, pod, running_agent, wait_for,
                     workload, world)


class Verdicts(AgentCase):
    """With enforcement `warn`, so that a bad object can come into being beside the agent."""

    options = {"enforcement": "warn"}

    @classmethod
    def before_agent(cls):
        cls.old = world().namespace()
        create(cls.api, pod(cls.old, "bad", bad_pod_spec()))
        create(cls.api, pod(cls.old, "good"))
        for kind in ("Deployment", "StatefulSet", "DaemonSet", "CronJob"):
            create(cls.api, workload(kind, cls.old, kind.lower(), bad_pod_spec()))

    def test_objects_older_than_the_agent_are_found(self):
        for name in ("bad", "deployment", "statefulset", "daemonset", "cronjob"):
            with self.subTest(name):
                self.agent.wait_assessment(self.old, name, "pod-privileged", "fail")
        self.agent.wait_assessment(self.old, "good", "pod-privileged", "pass")

    def test_an_assessment_names_object_control_and_requirement(self):
        record = self.agent.wait_assessment(self.old, "bad", "pod-privileged", "fail")
        text = json.dumps(record.body)
        live = self.api.get(path_of("Pod", self.old, "bad"))["metadata"]
        for word in (live["uid"], live["resourceVersion"], "OPS-21.1B",
                     "spec.containers[1].securityContext.privileged"):
            self.assertIn(word, text)

    def test_objects_are_judged_when_made_and_when_changed(self):
        done = self.apply(deployment(self.ns, "web", bad_pod_spec()))
        self.assert_admitted(done)
        self.assertRegex(done.err, r"(?m)^Warning: .*pod-privileged")
        first = self.agent.wait_assessment(self.ns, "web", "pod-privileged", "fail")
        self.api.replace(path_of("Deployment", self.ns, "web"), deployment(self.ns, "web"))
        self.agent.wait_assessment(self.ns, "web", "pod-privileged", "pass", after=first.id)

    def test_an_unchanged_verdict_makes_no_new_record(self):
        create(self.api, deployment(self.ns, "web"))
        self.agent.wait_assessment(self.ns, "web", "pod-privileged", "pass")
        for value in "abc":
            self.api.patch(path_of("Deployment", self.ns, "web"),
                           {"metadata": {"annotations": {"n": value}}})
        create(self.api, pod(self.ns, "marker"))
        self.agent.wait_assessment(self.ns, "marker", "pod-privileged", "pass")
        found = self.agent.assessments(self.ns, "web", "pod-privileged")
        self.assertEqual(len(found), 1, found)

    def test_the_controllers_objects_are_judged_too(self):
        self.apply(deployment(self.ns, "web", bad_pod_spec()))
        found = wait_for("assessments of ReplicaSet and Pod", lambda: (
            lambda kinds: kinds if {"Deployment", "ReplicaSet", "Pod"} <= kinds else None)(
                {r.body["object"]["kind"] for r in self.agent.assessments(
                    self.ns, control="pod-privileged", result="fail")}), 30)
        self.assertIn("Pod", found)

    def test_a_deleted_object_is_closed(self):
        create(self.api, pod(self.ns, "web", bad_pod_spec()))
        self.agent.wait_assessment(self.ns, "web", "pod-privileged", "fail")
        self.api.delete(path_of("Pod", self.ns, "web"))
        wait_for("object.gone", lambda: [r for r in self.agent.records("object.gone")
                                         if r.body["object"]["namespace"] == self.ns], 30)

    def test_system_namespaces_are_watched(self):
        name = f"bad-{self.ns}"
        create(self.api, pod("kube-system", name, bad_pod_spec()))
        self.agent.wait_assessment("kube-system", name, "pod-privileged", "fail")
        self.api.delete(path_of("Pod", "kube-system", name))


class Away(unittest.TestCase):
    """The agent was not there; what happened meanwhile is found after its restart."""

    def setUp(self):
        need_agent()
        self.api = cluster().api()
        self.ns = world().namespace()
        self.agent = Agent(enforcement="warn")
        self.addCleanup(forget_webhooks)
        self.addCleanup(self.agent.stop)
        create(self.api, deployment(self.ns, "web"))
        create(self.api, pod(self.ns, "removed", bad_pod_spec()))
        self.agent.start()
        self.agent.wait_assessment(self.ns, "web", "pod-privileged", "pass")
        self.agent.wait_assessment(self.ns, "removed", "pod-privileged", "fail")

    def change(self):
        last = self.agent.last_id()
        self.api.replace(path_of("Deployment", self.ns, "web"),
                         deployment(self.ns, "web", bad_pod_spec()))
        self.api.delete(path_of("Pod", self.ns, "removed"))
        create(self.api, pod(self.ns, "added", bad_pod_spec()))
        return last

    def check(self, last):
        self.agent.wait_assessment(self.ns, "web", "pod-privileged", "fail", after=last)
        self.agent.wait_assessment(self.ns, "added", "pod-privileged", "fail", after=last)
        wait_for("object.gone", lambda: [
            r for r in self.agent.records("object.gone") if
            r.body["object"]["name"] == "removed" and r.body["object"]["namespace"] == self.ns], 30)
        evlog.check_chain(evlog.records(self.agent.spool))

    def test_after_a_clean_end(self):
        self.agent.stop()
        last = self.change()
        self.agent.start()
        self.check(last)
        self.assertEqual(self.agent.records()[-1].epoch, last[0], "a clean end keeps the epoch")

    def test_after_a_kill(self):
        self.agent.kill()
        forget_webhooks()  # else the change itself would be refused
        last = self.change()
        self.agent.start()
        self.check(last)
        self.assertTrue([r for r in self.agent.records("log.reopened") if r.id > last])


class Recovery(unittest.TestCase):
    """The API server goes and comes back; the agent is never restarted."""

    def setUp(self):
        need_agent()
        self.cluster = cluster()
        self.ns = world().namespace()
        self.agent = Agent(enforcement="warn")
        self.addCleanup(forget_webhooks)
        self.addCleanup(self.agent.stop)
        self.agent.start()

    def check(self):
        """New objects are judged by watch and webhook, by the same process as before."""
        api = self.cluster.api()
        done = self.cluster.kubectl("apply", "-f", "-", stdin=json.dumps(
            pod(self.ns, "after", bad_pod_spec())))
        self.assertEqual(done.code, 0, str(done))
        self.agent.wait_assessment(self.ns, "after", "pod-privileged", "fail", seconds=60)
        wait_for("the webhook's warning", lambda: "pod-privileged" in self.cluster.kubectl(
            "label", "pod", "after", "-n", self.ns, "--overwrite",
            f"n=x{len(self.agent.records())}").err, 60)
        wait_for("readiness", self.agent.ready, 60)
        self.assertTrue(self.agent.process.running())
        api.close()

    def test_graceful_restart(self):
        self.cluster.restart_api()
        self.check()

    def test_crash(self):
        self.cluster.restart_api(signal.SIGKILL)
        self.check()

    def test_a_long_outage(self):
        self.cluster.stop_api(signal.SIGKILL)
        try:
            with self.assertRaises(TimeoutError):
                wait_for("end of the agent", lambda: not self.agent.process.running(), 15)
        finally:
            self.cluster.start_api()
        self.check()
        gaps = self.agent.records("gap.opened")
        self.assertTrue(gaps, "an outage must be a recorded gap")

    def test_history_is_compacted_meanwhile(self):
        """Other kinds move on, then the server restarts: most resume versions are too old (410)."""
        api = self.cluster.api()
        create(api, pod(self.ns, "before", bad_pod_spec()))
        self.agent.wait_assessment(self.ns, "before", "pod-privileged", "fail")
        for i in range(300):
            create(api, {"apiVersion": "v1", "kind": "ConfigMap",
                         "metadata": {"name": f"c{i}", "namespace": self.ns}})
        self.cluster.compact()
        self.cluster.stop_api(signal.SIGKILL)
        self.cluster.start_api()
        api.close()
        api.delete(path_of("Pod", self.ns, "before"))
        wait_for("object.gone", lambda: [
            r for r in self.agent.records("object.gone") if
            r.body["object"]["namespace"] == self.ns], 60)
        self.check()


class Credentials(unittest.TestCase):
    """Every form of credential that a kubeconfig may hold."""

    def setUp(self):
        need_agent()
        self.cluster = cluster()
        self.ns = world().namespace()
        api = self.cluster.api()
        name = f"agent-{self.ns}"
        self.addCleanup(api.delete, path_of("ClusterRoleBinding", name=name))
        create(api, {
            "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding",
            "metadata": {"name": name},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole",
                        "name": "cluster-admin"},
            "subjects": [{"kind": "ServiceAccount", "name": "default", "namespace": self.ns},
                         {"kind": "User", "name": name,
                          "apiGroup": "rbac.authorization.k8s.io"}]})
        self.user = name
        create(api, pod(self.ns, "bad", bad_pod_spec()))

    def check(self, kubeconfig):
        with running_agent(kubeconfig=kubeconfig, enforcement="warn") as agent:
            agent.wait_assessment(self.ns, "bad", "pod-privileged", "fail")
            self.assertNotIn("PRIVATE KEY", agent.log())
            return agent

    def token(self):
        return self.cluster.token("default", self.ns)

    def test_client_certificate_in_files(self):
        self.check(self.cluster.kubeconfig_cert(self.user, f"/CN={self.user}"))

    def test_client_certificate_inline(self):
        self.check(self.cluster.kubeconfig_cert(self.user, f"/CN={self.user}", inline=True))

    def test_token(self):
        token = self.token()
        agent = self.check(self.cluster.kubeconfig_token(self.user, token))
        self.assertNotIn(token, agent.log())

    def test_token_file(self):
        self.check(self.cluster.kubeconfig_token(self.user, self.token(), in_file=True))

    def test_exec_plugin(self):
        kubeconfig, calls = self.cluster.kubeconfig_exec(self.user, self.token())
        self.check(kubeconfig)
        with open(calls, encoding="utf-8") as f:
            info = json.loads(f.readline().partition(" ")[2])
        self.assertEqual(info["kind"], "ExecCredential")
        self.assertFalse(info["spec"]["interactive"])
        self.assertEqual(info["spec"]["cluster"]["server"], self.cluster.server)

    def test_a_wrong_token_is_a_clear_error(self):
        agent = Agent(kubeconfig=self.cluster.kubeconfig_token(self.user, "not-a-token"))
        self.addCleanup(agent.stop)
        agent.process.start()
        wait_for("a message about the refusal", lambda: "401" in agent.log() or
                 "Unauthorized" in agent.log(), 30)
        self.assertNotIn("not-a-token", agent.log())
        with self.assertRaises((AssertionError, OSError)):
            self.assertTrue(agent.ready())
