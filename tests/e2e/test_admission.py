"""kubectl against the webhook: who is denied, what the message says, what is recorded."""

import json
import os
import re
import subprocess

from harness import (BIN, RELEASE_NAMESPACE, ROOT, AgentCase, bad_pod_spec, create, deployment,
                     evlog, good_container, good_pod_spec, path_of, pod, wait_for, workload)


def remediation(group, control):
    """The fix as the control's own file words it."""
    path = os.path.join(ROOT, "controls", group, control + ".yaml")
    done = subprocess.run([os.path.join(BIN, "yamlref"), path], capture_output=True, check=True)
    return json.loads(done.stdout)["spec"]["remediation"].strip()


class Answers(AgentCase):
    def test_privileged_deployment_is_denied_with_control_requirement_and_fix(self):
        done = self.apply(deployment(self.ns, "web", bad_pod_spec()))
        self.assert_denied(done, "pod-privileged", "OPS-21.1B",
                           remediation("pod", "pod-privileged"),
                           "spec.template.spec.containers[1].securityContext.privileged")
        self.assertIsNone(self.api.find(path_of("Deployment", self.ns, "web")))

    def test_privileged_pod_is_denied_with_control_requirement_and_fix(self):
        done = self.apply(pod(self.ns, "web", bad_pod_spec()))
        self.assert_denied(done, "pod-privileged", "OPS-21.1B",
                           remediation("pod", "pod-privileged"),
                           "spec.containers[1].securityContext.privileged")
        self.assertIsNone(self.api.find(path_of("Pod", self.ns, "web")))

    def test_every_workload_kind_is_denied(self):
        for kind in ("ReplicaSet", "StatefulSet", "DaemonSet", "Job", "CronJob"):
            with self.subTest(kind):
                self.assert_denied(self.apply(workload(kind, self.ns, "web", bad_pod_spec())),
                                   "pod-privileged")

    def test_all_failed_controls_are_named(self):
        spec = bad_pod_spec()
        spec["hostNetwork"] = spec["hostPID"] = True
        spec["containers"][0]["ports"][0]["hostPort"] = 8080
        done = self.apply(pod(self.ns, "web", spec))
        self.assert_denied(done, "pod-privileged", "pod-host-network", "pod-host-pid")

    def test_init_containers_are_judged(self):
        spec = good_pod_spec()
        spec["initContainers"] = [bad_pod_spec()["containers"][1]]
        self.assert_denied(self.apply(pod(self.ns, "web", spec)), "pod-privileged",
                           "spec.initContainers[0].securityContext.privileged")

    def test_ephemeral_containers_are_judged(self):
        self.assert_admitted(self.apply(pod(self.ns, "web")))
        extra = good_container("debug")
        for field in ("ports", "resources", "livenessProbe", "readinessProbe"):
            del extra[field]
        extra["securityContext"] = {"privileged": True}
        path = path_of("Pod", self.ns, "web") + "/ephemeralcontainers"
        patch = {"spec": {"ephemeralContainers": [extra]}}
        self.assert_refused(lambda: self.api.patch(path, patch, "strategic-merge"),
                            "pod-privileged", "spec.ephemeralContainers[0]")

    def test_compliant_objects_are_admitted(self):
        self.assert_admitted(self.apply(deployment(self.ns, "web"), pod(self.ns, "single"),
                                        workload("StatefulSet", self.ns, "db"),
                                        workload("CronJob", self.ns, "nightly")))
        wait_for("the Deployment's Pod", lambda: self.api.get(
            path_of("Pod", self.ns) + "?labelSelector=app%3Dweb")["items"])

    def test_warnings_are_shown(self):
        spec = good_pod_spec()
        spec["automountServiceAccountToken"] = True
        done = self.apply(pod(self.ns, "web", spec))
        self.assert_admitted(done)
        self.assertRegex(done.err, r"(?m)^Warning: .*sa-automount")
        self.assertTrue(all(len(line) <= 9 + 120 for line in done.err.splitlines()
                            if line.startswith("Warning: ")), done.err)

    def test_generated_names(self):
        bad = pod(self.ns, "x", bad_pod_spec())
        good = pod(self.ns, "x")
        for obj in (bad, good):
            del obj["metadata"]["name"]
            obj["metadata"]["generateName"] = "made-"
        self.assert_refused(lambda: create(self.api, bad), "pod-privileged")
        name = create(self.api, good)["metadata"]["name"]
        self.assertTrue(name.startswith("made-"))

    def test_excluded_namespaces_are_left_alone(self):
        for namespace in ("kube-system", "kube-public", "kube-node-lease", RELEASE_NAMESPACE):
            with self.subTest(namespace):
                wait_for("ServiceAccount", lambda n=namespace: self.api.find(
                    f"/api/v1/namespaces/{n}/serviceaccounts/default"))
                done = self.apply(pod(namespace, f"bad-{self.ns}", bad_pod_spec()))
                self.assert_admitted(done)
                self.assertNotIn("pod-privileged", done.err)
                self.api.delete(path_of("Pod", namespace, f"bad-{self.ns}"))
                self.assertEqual(self.agent.decisions(namespace, f"bad-{self.ns}"), [])

    def test_deleting_is_never_denied(self):
        self.assert_admitted(self.apply(pod(self.ns, "one"), pod(self.ns, "two")))
        self.assert_admitted(self.kubectl("delete", "pod", "one", "-n", self.ns))
        self.assert_admitted(self.kubectl("delete", "pods", "--all", "-n", self.ns))

    def test_connections_to_a_pod_are_recorded(self):
        self.assert_admitted(self.apply(pod(self.ns, "web")))
        self.kubectl("exec", "web", "-n", self.ns, "--", "true")  # no node will ever run it
        found = [r for r in self.agent.decisions(self.ns, "web") if
                 r.body["operation"] == "CONNECT"]
        self.assertTrue(found, "no decision for the exec")

    def test_unknown_kinds_do_not_disturb(self):
        crd = {"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
               "metadata": {"name": "widgets.example.eu"},
               "spec": {"group": "example.eu", "scope": "Namespaced",
                        "names": {"plural": "widgets", "kind": "Widget"},
                        "versions": [{"name": "v1", "served": True, "storage": True, "schema": {
                            "openAPIV3Schema": {
                                "type": "object",
                                "x-kubernetes-preserve-unknown-fields": True}}}]}}
        self.assert_admitted(self.apply(crd))
        widget = {"apiVersion": "example.eu/v1", "kind": "Widget",
                  "metadata": {"name": "w", "namespace": self.ns}, "spec": {"privileged": True}}
        wait_for("the new kind", lambda: self.apply(widget).code == 0, 30)


class Records(AgentCase):
    def test_every_decision_is_recorded_once(self):
        self.apply(pod(self.ns, "bad", bad_pod_spec()))
        self.apply(pod(self.ns, "good"))
        bad, good = self.agent.decisions(self.ns, "bad"), self.agent.decisions(self.ns, "good")
        self.assertEqual((len(bad), len(good)), (1, 1))
        self.assertFalse(bad[0].body["allowed"])
        self.assertTrue(good[0].body["allowed"])
        self.assertIn("pod-privileged", json.dumps(bad[0].body["failed"]))
        self.assertRegex(json.dumps(bad[0].body), r'"[0-9a-f]{64}"')  # digest of what was sent
        evlog.check_chain(evlog.records(self.agent.spool))

    def test_server_side_dry_run_is_judged_and_leaves_no_record(self):
        before = len(self.agent.records())
        done = self.apply(deployment(self.ns, "web", bad_pod_spec()), dry_run=True)
        self.assert_denied(done, "pod-privileged", "OPS-21.1B")
        self.assert_admitted(self.apply(deployment(self.ns, "web"), dry_run=True))
        self.assertIsNone(self.api.find(path_of("Deployment", self.ns, "web")))
        self.apply(pod(self.ns, "marker"))  # a real one, to see that records do arrive
        later = self.agent.records()[before:]
        self.assertTrue([r for r in later if "marker" in str(r.body)])
        self.assertEqual([r for r in later if (r.body.get("object") or {}).get("name") == "web" and
                          r.body["object"].get("namespace") == self.ns], [])

    def test_the_audit_log_of_the_api_server_points_at_the_record(self):
        self.apply(pod(self.ns, "bad", bad_pod_spec()))
        self.apply(pod(self.ns, "good"))
        records = {r.id: r for r in self.agent.records("admission.decision")}
        for name, allowed in (("bad", False), ("good", True)):
            with self.subTest(name):
                event = wait_for("audit event", lambda n=name: self.audit_event(n))
                epoch, seq, leaf = positions(event)[0]
                record = records[epoch, seq]
                self.assertEqual(record.leaf.hex()[:16], leaf)
                self.assertEqual(record.body["allowed"], allowed)
                self.assertEqual(record.body["object"]["name"], name)

    def audit_event(self, name):
        for event in self.cluster.audit_events():
            ref = event.get("objectRef", {})
            if (ref.get("namespace"), ref.get("resource")) == (self.ns, "pods") and \
                    event["verb"] in ("create", "patch") and ref.get("name", name) == name and \
                    name in event["requestURI"] + str(ref) and positions(event):
                return event
        return None

    def test_the_file_sink_has_every_record(self):
        self.apply(pod(self.ns, "bad", bad_pod_spec()))
        wanted = [r.id for r in self.agent.records()]
        wait_for("delivery to the file", lambda: set(wanted) <= set(self.agent.sink_ids()), 20)

    def test_metrics_are_what_prometheus_reads(self):
        text = self.agent.fetch(self.agent.web_port, "/metrics", headers={
            "Authorization": "Bearer " + self.agent.token})[1]
        label = r'[a-zA-Z_]\w*="(?:[^"\\\n]|\\["\\n])*"'
        value = r"(?:[-+.\deE]+|[-+]?Inf|NaN)"
        sample = rf"[a-zA-Z_:][\w:]*(?:\{{(?:{label}(?:,{label})*)?\}})? {value}"
        lines = text.splitlines()
        self.assertEqual([x for x in lines if not re.fullmatch(
            rf"{sample}|# (?:HELP|TYPE) .+", x)], [])
        samples = [x.rpartition(" ")[0] for x in lines if not x.startswith("#")]
        self.assertGreater(len(samples), 50)
        self.assertEqual(len(samples), len(set(samples)), "a series appears twice")

    def test_metrics_count_decisions(self):
        def count(allowed, dry_run):
            return self.agent.metric("eucs_agent_admission_requests_total", allowed=allowed,
                                     operation="CREATE", dry_run=dry_run)
        kinds = [(a, d) for a in ("false", "true") for d in ("false", "true")]
        before = [count(*k) for k in kinds]
        self.apply(pod(self.ns, "bad", bad_pod_spec()))
        for name in ("good", "better"):
            self.apply(pod(self.ns, name))
        self.apply(pod(self.ns, "worse", bad_pod_spec()), dry_run=True)
        self.assertEqual([count(*k) - n for k, n in zip(kinds, before)], [1, 1, 2, 0])


def positions(event):
    """Evidence positions in the annotations of one audit event."""
    found = (evlog.parse_position(v) for v in (event.get("annotations") or {}).values())
    return [p for p in found if p]
