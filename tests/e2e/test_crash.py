"""kill -9 in the middle of 1,000 creations, and one flipped byte anywhere in the log."""

import http.client
import os
import random
import shutil
import threading
import time
import unittest

from harness import (Agent, ApiError, cluster, create, evlog, forget_webhooks, need_agent,
                     pod, run_agent, running_agent, wait_for, world)
from test_admission import positions

CREATIONS = 1000
CREATORS = 4
KILLS = 3


class Creator(threading.Thread):
    """Creates Pods until all of its share exist; a refused call is tried again."""

    def __init__(self, namespace, names):
        super().__init__(daemon=True)
        self.namespace = namespace
        self.names = names
        self.done = 0
        self.refused = 0
        self.error = None

    def run(self):
        api = cluster().api()
        try:
            for name in self.names:
                while not self._create(api, name):
                    self.refused += 1
                    time.sleep(0.02)
                self.done += 1
        except Exception as e:  # shown by the test, which alone may fail
            self.error = e
        finally:
            api.close()

    def _create(self, api, name):
        try:
            create(api, pod(self.namespace, name))
            return True
        except ApiError as e:
            if e.code == 409:
                return True  # it was made although an earlier answer did not arrive
            if e.code in (429, 500, 503, 504):
                return False
            raise
        except (OSError, http.client.HTTPException):
            return False


class Kill(unittest.TestCase):
    def test_no_acknowledged_record_is_lost(self):
        need_agent()
        ns = world().namespace()
        agent = Agent()
        self.addCleanup(forget_webhooks)
        self.addCleanup(agent.stop)
        agent.start()
        names = [f"p{i:04d}" for i in range(CREATIONS)]
        creators = [Creator(ns, names[i::CREATORS]) for i in range(CREATORS)]
        for creator in creators:
            creator.start()
        for step in range(1, KILLS + 1):
            while sum(c.done for c in creators) < CREATIONS * step // (KILLS + 1):
                self.assertTrue(any(c.is_alive() for c in creators), [c.error for c in creators])
                time.sleep(0.002)
            agent.kill()
            # failurePolicy is Fail, so what meets no agent is refused: the kill was in the middle.
            refused = sum(c.refused for c in creators)
            wait_for("a refused creation", lambda n=refused: sum(
                c.refused for c in creators) > n, 20)
            self.assertLess(sum(c.done for c in creators), CREATIONS)
            agent.start()
        for creator in creators:
            creator.join(300)
            self.assertIsNone(creator.error)
        self.assertEqual(sum(c.done for c in creators), CREATIONS)

        self.check_acknowledged(agent, ns)
        agent.stop()
        evlog.check_chain(agent.records())
        done = run_agent("evidence", "verify", agent.spool)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        for folder in agent.export():
            evlog.check_export(folder)
        wanted = {r.id for r in agent.records()}
        # The last record, log.closed, is written when the sinks have ended.
        missing = wanted - set(agent.sink_ids()) - {max(wanted)}
        self.assertEqual(missing, set())

    def check_acknowledged(self, agent, ns):
        """Every position that reached the API server's audit log is in ours, with that content."""
        records = {r.id: r for r in agent.records("admission.decision")}
        acknowledged = 0
        for event in cluster().audit_events():
            if event.get("objectRef", {}).get("namespace") != ns:
                continue
            for epoch, seq, leaf in positions(event):
                acknowledged += 1
                self.assertIn((epoch, seq), records, event["requestURI"])
                self.assertEqual(records[epoch, seq].leaf.hex()[:16], leaf)
        self.assertGreaterEqual(acknowledged, CREATIONS)


class FlippedByte(unittest.TestCase):
    """`evidence verify` of a log in which one byte was changed fails and says where."""

    @classmethod
    def setUpClass(cls):
        need_agent()
        cls.ns = world().namespace()
        api = cluster().api()
        with running_agent() as agent:
            for i in range(5):
                create(api, pod(cls.ns, f"p{i}"))
        api.close()
        cls.agent = agent

    def verify(self, path):
        return run_agent("evidence", "verify", path)

    def test_the_log_itself_holds(self):
        done = self.verify(self.agent.spool)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)

    def copy(self):
        target = os.path.join(self.agent.folder, "copy")
        shutil.rmtree(target, ignore_errors=True)
        shutil.copytree(self.agent.spool, target)
        return target

    def check_flip(self, target, name, at, words):
        path = os.path.join(target, name)
        with open(path, "r+b") as f:
            f.seek(at)
            old = f.read(1)
            f.seek(at)
            f.write(bytes([old[0] ^ (1 << (at % 8))]))
            f.flush()
            done = self.verify(target)
            f.seek(at)
            f.write(old)
        text = done.stdout + done.stderr
        with self.subTest(file=name, byte=at):
            self.assertEqual(done.returncode, 1, text)
            self.assertTrue(any(w in text for w in words), f"does not say where: {text}")

    def offsets(self, name, end, size):
        """All of the header, of the first and of the last record; a sample of the rest."""
        records = [r for r in self.agent.records() if os.path.basename(r.file) == name]
        ends = [records[0], records[-1]]
        always = set(range(evlog.SEGMENT_HEADER))
        for record in ends:
            always |= set(range(record.offset, record.end))
        chance = random.Random(20251)
        sample = set(chance.sample(range(end), min(400, end)))
        tail = set(chance.sample(range(end, size), min(40, size - end))) if size > end else set()
        return sorted(always | sample | tail)

    def test_any_byte_of_a_segment(self):
        target = self.copy()
        for path in evlog.segments(self.agent.spool):
            name = os.path.basename(path)
            records = [r for r in self.agent.records() if r.file == path]
            for at in self.offsets(name, records[-1].end, os.path.getsize(path)):
                self.check_flip(target, name, at, [name])
        self.assertEqual(self.verify(target).returncode, 0, "the copy is whole again")

    def test_any_byte_of_an_export(self):
        for folder in self.agent.export():
            for name in ("log.ndjson", "checkpoint"):
                size = os.path.getsize(os.path.join(folder, name))
                chance = random.Random(size)
                for at in sorted(chance.sample(range(size), min(300, size))):
                    self.check_flip(folder, name, at, [name, "seq", "byte", "signature"])
            self.assertEqual(self.verify(folder).returncode, 0, "the export is whole again")

    def test_a_removed_and_a_swapped_record(self):
        folder = self.agent.export()[0]
        path = os.path.join(folder, "log.ndjson")
        with open(path, "rb") as f:
            lines = f.readlines()
        middle = len(lines) // 2
        cases = {
            "removed": lines[:middle] + lines[middle + 1:],
            "swapped": [*lines[:middle], lines[middle + 1], lines[middle], *lines[middle + 2:]],
            "doubled": lines[:middle] + [lines[middle]] + lines[middle:],
            "cut": lines[:-1],
        }
        for what, changed in cases.items():
            with self.subTest(what), open(path, "wb") as f:
                f.writelines(changed)
                f.flush()
                done = self.verify(folder)
                self.assertEqual(done.returncode, 1, done.stdout + done.stderr)
        with open(path, "wb") as f:
            f.writelines(lines)
        self.assertEqual(self.verify(folder).returncode, 0)
