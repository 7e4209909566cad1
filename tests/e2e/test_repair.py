"""The repair rule and the controllers: objects older than the agent can be repaired, kept running
and removed, what makes them worse is denied, and a forged owner buys nothing."""

import copy
import json
import time

from harness import (AgentCase, bad_pod_spec, create, deployment, good_container, good_pod_spec,
                     path_of, pod, pods_of, wait_for, workload, world)


def with_host_path(path):
    spec = good_pod_spec()
    spec["volumes"] = [{"name": "host", "hostPath": {"path": path}}]
    return spec


def add_capabilities(*names):
    return bad_pod_spec(capabilities={"drop": ["ALL"], "add": list(names)})


def second_bad():
    """A strategic merge patch that puts one more privileged container into a Deployment."""
    extra = bad_pod_spec()["containers"][1]
    extra["name"] = "worse"
    return {"spec": {"template": {"spec": {"containers": [extra]}}}}


class OlderThanTheAgent(AgentCase):
    """Each test has a bad Deployment `web` of its own that existed before the agent started."""

    old = {}

    @classmethod
    def before_agent(cls):
        def older(test, *objects):
            namespace = cls.old[test] = world().namespace()
            for obj in objects:
                obj["metadata"]["namespace"] = namespace
                create(cls.api, obj)

        for test in (n for n in dir(cls) if n.startswith("test_")):
            older(test, deployment("", "web", bad_pod_spec()))
        older("capabilities", deployment("", "web", add_capabilities("NET_ADMIN")))
        older("host path", deployment("", "web", with_host_path("/tmp")))
        older("pod", pod("", "single", bad_pod_spec()))
        finalized = pod("", "single", bad_pod_spec())
        finalized["metadata"]["finalizers"] = ["example.eu/hold"]
        older("finalizer", finalized)
        older("kinds", workload("StatefulSet", "", "db", bad_pod_spec()),
              workload("DaemonSet", "", "each", bad_pod_spec()),
              workload("CronJob", "", "tick", bad_pod_spec()))
        two = bad_pod_spec()
        two["containers"].append({**copy.deepcopy(two["containers"][1]), "name": "worse"})
        older("two", deployment("", "web", two))
        cls.binding = "anonymous-" + cls.old["two"]
        create(cls.api, {
            "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding",
            "metadata": {"name": cls.binding},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole",
                        "name": "view"},
            "subjects": [cls.subject("Group", "system:unauthenticated")]})
        for namespace in cls.old.values():
            for item in cls.api.get(path_of("Deployment", namespace))["items"]:
                name = item["metadata"]["name"]
                wait_for(f"Pod of {namespace}/{name}",
                         lambda n=namespace, a=name: pods_of(cls.api, n, a))

    @staticmethod
    def subject(kind, name):
        return {"kind": kind, "name": name, "apiGroup": "rbac.authorization.k8s.io"}

    def setUp(self):
        self.ns = self.old[self._testMethodName]
        self.path = path_of("Deployment", self.ns, "web")

    def pods(self, app="web"):
        return {p["metadata"]["name"]: p for p in pods_of(self.api, self.ns, app)}

    def images(self, image):
        """Two-container template patch that changes the image of both."""
        names = ("web", "bad")
        return {"spec": {"template": {"spec": {"containers": [
            {"name": n, "image": image} for n in names]}}}}

    # What must work ---------------------------------------------------------------------------

    def test_it_is_rolled_to_a_good_one(self):
        self.assert_admitted(self.kubectl("replace", "-f", "-", stdin=_text(
            deployment(self.ns, "web"))))
        wait_for("only good Pods", lambda: self.pods() and all(
            len(p["spec"]["containers"]) == 1 for p in self.pods().values()))

    def test_it_is_scaled(self):
        self.assert_admitted(self.kubectl("scale", "deployment/web", "--replicas=3", "-n", self.ns))
        wait_for("three Pods", lambda: len(self.pods()) == 3)
        self.api.patch(self.path, {"spec": {"replicas": 2}})
        wait_for("two Pods", lambda: len(self.pods()) == 2)

    def test_it_is_relabelled(self):
        done = self.kubectl("label", "deployment/web", "team=shop", "-n", self.ns)
        self.assert_admitted(done)
        self.assert_admitted(self.kubectl("annotate", "deployment/web", "a=b", "-n", self.ns))
        before = set(self.pods())
        template = {"spec": {"template": {"metadata": {"labels": {"team": "shop"}}}}}
        self.api.patch(self.path, template)
        wait_for("Pods of the new template", lambda: set(self.pods()) - before)

    def test_old_failures_are_warnings(self):
        done = self.kubectl("label", "deployment/web", "team=shop", "-n", self.ns)
        self.assertRegex(done.err, r"(?m)^Warning: .*pod-privileged")

    def test_it_loses_a_pod_and_gets_it_back(self):
        lost = next(iter(self.pods()))
        self.assert_admitted(self.kubectl("delete", "pod", lost, "-n", self.ns))
        wait_for("another Pod", lambda: self.pods() and lost not in self.pods(), 30)

    def test_an_eviction_is_followed_by_another_pod(self):
        lost = next(iter(self.pods()))
        self.api.create(path_of("Pod", self.ns, lost) + "/eviction", {
            "apiVersion": "policy/v1", "kind": "Eviction",
            "metadata": {"name": lost, "namespace": self.ns}})
        wait_for("another Pod", lambda: self.pods() and lost not in self.pods(), 30)

    def test_it_is_rolled_forth_and_back(self):
        new = "registry.example.eu/shop/web@sha256:" + "cd" * 32
        self.api.patch(self.path, self.images(new), "strategic-merge")
        wait_for("Pods of the new image", lambda: any(
            p["spec"]["containers"][0]["image"] == new for p in self.pods().values()))
        self.assert_admitted(self.kubectl("rollout", "undo", "deployment/web", "-n", self.ns))

    def test_it_is_deleted(self):
        self.assert_admitted(self.kubectl("delete", "deployment", "web", "-n", self.ns))
        wait_for("no Pods", lambda: not self.pods())

    def test_its_namespace_is_deleted(self):
        self.assert_admitted(self.kubectl("delete", "namespace", self.ns))

    def test_one_of_two_failures_is_removed(self):
        path = path_of("Deployment", self.old["two"], "web")
        obj = self.api.get(path)
        del obj["spec"]["template"]["spec"]["containers"][2]
        self.api.replace(path, obj)

    def test_other_controllers_get_their_pods_back(self):
        self.ns = self.old["kinds"]
        for app in ("db", "each"):
            with self.subTest(app):
                lost = next(iter(self.pods(app).values()))["metadata"]
                self.api.delete(path_of("Pod", self.ns, lost["name"]))
                wait_for(f"another Pod of {app}", lambda a=app, u=lost["uid"]: [
                    p for p in self.pods(a).values() if p["metadata"]["uid"] != u], 30)

    def test_a_cron_job_still_runs(self):
        self.ns = self.old["kinds"]
        # A run that was due two minutes ago is made up at once.
        due = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() - 120))
        self.api.patch(path_of("CronJob", self.ns, "tick") + "/status",
                       {"status": {"lastScheduleTime": due}})
        wait_for("a Job's Pod", lambda: [
            p for p in self.api.get(path_of("Pod", self.ns))["items"] if
            p["metadata"]["name"].startswith("tick-")], 60)

    def test_finalizers_are_removed(self):
        path = path_of("Pod", self.old["finalizer"], "single")
        self.api.delete(path)
        self.api.patch(path, {"metadata": {"finalizers": None}})
        self.assertIsNone(self.api.find(path))

    # What makes it worse ----------------------------------------------------------------------

    def test_worse_a_second_privileged_container(self):
        self.assert_refused(lambda: self.api.patch(self.path, second_bad(), "strategic-merge"),
                            "pod-privileged", "worse")

    def test_worse_another_failure(self):
        patch = {"spec": {"template": {"spec": {"hostNetwork": True}}}}
        self.assert_refused(lambda: self.api.patch(self.path, patch), "pod-host-network")

    def test_worse_one_more_capability(self):
        path = path_of("Deployment", self.old["capabilities"], "web")
        patch = {"spec": {"template": {"spec": add_capabilities("NET_ADMIN", "SYS_ADMIN")}}}
        self.assert_refused(lambda: self.api.patch(path, patch, "strategic-merge"),
                            "pod-capabilities-added", "SYS_ADMIN")

    def test_worse_a_wider_host_path(self):
        path = path_of("Deployment", self.old["host path"], "web")
        patch = {"spec": {"template": {"spec": {"volumes": [
            {"name": "host", "hostPath": {"path": "/"}}]}}}}
        self.assert_refused(lambda: self.api.patch(path, patch, "strategic-merge"),
                            "pod-host-path")

    def test_worse_one_more_subject(self):
        path = path_of("ClusterRoleBinding", name=self.binding)
        patch = {"subjects": [self.subject("Group", "system:unauthenticated"),
                              self.subject("User", "system:anonymous")]}
        self.assert_refused(lambda: self.api.patch(path, patch), "rbac-anonymous-subject")

    def test_worse_a_privileged_ephemeral_container(self):
        path = path_of("Pod", self.old["pod"], "single") + "/ephemeralcontainers"
        debug = {"name": "debug", "image": good_container()["image"],
                 "securityContext": {"privileged": True}}
        patch = {"spec": {"ephemeralContainers": [debug]}}
        self.assert_refused(lambda: self.api.patch(path, patch, "strategic-merge"),
                            "pod-privileged", "debug")

    def test_worse_back_from_good_to_bad(self):
        self.assert_admitted(self.kubectl("replace", "-f", "-", stdin=_text(
            deployment(self.ns, "web"))))
        done = self.kubectl("rollout", "undo", "deployment/web", "-n", self.ns)
        self.assert_denied(done, "pod-privileged")

    # Forged owners ----------------------------------------------------------------------------

    def owned(self, kind, name, spec, owner, uid=None):
        made = pod(self.ns, name, spec) if kind == "Pod" else workload(kind, self.ns, name, spec)
        made["metadata"]["ownerReferences"] = [{
            "apiVersion": owner["apiVersion"], "kind": owner["kind"],
            "name": owner["metadata"]["name"], "uid": uid or owner["metadata"]["uid"],
            "controller": True, "blockOwnerDeletion": True}]
        return made

    def owner(self, kind):
        item = self.api.get(path_of(kind, self.ns))["items"][0]
        return {**item, "apiVersion": "apps/v1", "kind": kind}

    def test_forged_owner_of_a_replica_set(self):
        made = self.owned("ReplicaSet", "forged", bad_pod_spec(), self.owner("Deployment"))
        self.assert_denied(self.kubectl("create", "-f", "-", stdin=_text(made)), "pod-privileged")

    def test_forged_owner_of_a_pod(self):
        made = self.owned("Pod", "forged", bad_pod_spec(), self.owner("ReplicaSet"))
        self.assert_denied(self.kubectl("create", "-f", "-", stdin=_text(made)), "pod-privileged")

    def test_the_controller_itself_cannot_add_failures(self):
        controller = "--as=system:serviceaccount:kube-system:replicaset-controller"
        worse = bad_pod_spec()
        worse["hostPID"] = True
        made = self.owned("Pod", "forged", worse, self.owner("ReplicaSet"))
        self.assert_denied(self.kubectl("create", "-f", "-", controller, stdin=_text(made)),
                           "pod-host-pid")

    def test_the_controller_needs_an_owner_that_exists(self):
        controller = "--as=system:serviceaccount:kube-system:replicaset-controller"
        made = self.owned("Pod", "forged", bad_pod_spec(), self.owner("ReplicaSet"),
                          "00000000-0000-4000-8000-000000000000")
        self.assert_denied(self.kubectl("create", "-f", "-", controller, stdin=_text(made)),
                           "pod-privileged")

    def test_another_controller_is_not_the_owner_s(self):
        controller = "--as=system:serviceaccount:kube-system:job-controller"
        made = self.owned("Pod", "forged", bad_pod_spec(), self.owner("ReplicaSet"))
        self.assert_denied(self.kubectl("create", "-f", "-", controller, stdin=_text(made)),
                           "pod-privileged")

    def test_a_job_by_hand_from_an_old_cron_job(self):
        done = self.kubectl("create", "job", "hand", "--from=cronjob/tick", "-n", self.old["kinds"])
        self.assert_denied(done, "pod-privileged")


def _text(obj):
    return json.dumps(obj)
