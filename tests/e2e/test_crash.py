"""kill -9 in the middle of 1,000 creations, and one flipped byte anywhere in the log."""

import concurrent.futures
import http.client
import os
import random
import shutil
import tempfile
import threading
import time
import unittest

from harness import (Agent, ApiError, cluster, create, evlog, forget_webhooks, need_agent,
                     pod, run_agent, running_agent, wait_for, world)
from test_admission import positions

CREATIONS = 1000
CREATORS = 4
KILLS = 3
WORKERS = 2  # that verify changed logs at a time


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
        self.addCleanup(cluster().kubectl, "delete", "pods", "--all", "-n", ns, "--wait=false")
        agent = Agent(level="basic")  # fewer records a Pod, since Python reads them all
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
        evlog.check_chain(evlog.records(agent.spool))
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
    """`evidence verify` of a log in which one byte was changed fails and says where.

    The unit tests flip every byte of a small log; here it is one that a cluster made.
    """

    @classmethod
    def setUpClass(cls):
        need_agent()
        cls.ns = world().namespace()
        api = cluster().api()
        with running_agent(settings={"evidence.segmentSize": "2Mi"}) as agent:
            for i in range(5):
                create(api, pod(cls.ns, f"p{i}"))
        api.close()
        cls.agent = agent

    def verify(self, path):
        return run_agent("evidence", "verify", path)

    def test_the_log_itself_holds(self):
        done = self.verify(self.agent.spool)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)

    def flip(self, folder, name, at, words):
        """What is wrong with the answer to one changed byte, or None."""
        with open(os.path.join(folder, name), "r+b", buffering=0) as f:
            f.seek(at)
            old = f.read(1)
            f.seek(at)
            f.write(bytes([old[0] ^ (1 << (at % 8))]))
            done = self.verify(folder)
            f.seek(at)
            f.write(old)
        text = done.stdout + done.stderr
        if done.returncode != 1:
            return f"{name} byte {at}: exit {done.returncode}: {text}"
        return None if any(w in text for w in words) else f"{name} byte {at}: not where: {text}"

    def check(self, folder, flips):
        """All of `flips` (name, offset, words that tell where), shared by two workers."""
        def worker(number):
            with tempfile.TemporaryDirectory(dir=self.agent.folder) as parent:
                copy = os.path.join(parent, os.path.basename(folder))
                shutil.copytree(folder, copy)
                found = [self.flip(copy, *f) for f in flips[number::WORKERS]]
                self.assertEqual(self.verify(copy).returncode, 0, "the copy is whole again")
            return [f for f in found if f]

        self.assertGreater(len(flips), 100)
        with concurrent.futures.ThreadPoolExecutor(WORKERS) as pool:
            found = [text for part in pool.map(worker, range(WORKERS)) for text in part]
        self.assertEqual(found, [])

    def offsets(self, name, end, size):
        """The header, the headers of the first and the last record, a sample of the rest."""
        records = [r for r in self.agent.records() if os.path.basename(r.file) == name]
        found = set(range(evlog.SEGMENT_HEADER))
        for record in (records[0], records[-1]):
            found |= set(range(record.offset, record.offset + evlog.RECORD_HEADER))
            found.add(record.end - 1)
        chance = random.Random(20251)
        found |= set(chance.sample(range(end), min(250, end)))
        if size > end:
            found |= set(chance.sample(range(end, size), min(30, size - end)))
        return sorted(found)

    def test_any_byte_of_a_segment(self):
        flips = []
        for path in evlog.segments(self.agent.spool):
            name = os.path.basename(path)
            last = [r for r in self.agent.records() if r.file == path][-1]
            for at in self.offsets(name, last.end, os.path.getsize(path)):
                flips.append((name, at, [name]))
        self.check(self.agent.spool, flips)

    def test_any_byte_of_what_belongs_to_the_segments(self):
        flips = []
        epoch = os.path.join("epochs", str(self.agent.records()[0].epoch))
        for name, where in (("state", "state"), ("cur-events", "events"),
                            (os.path.join(epoch, "checkpoint"), "checkpoint"),
                            (os.path.join(epoch, "origin"), "origin"),
                            (os.path.join(epoch, "key.pem"), "key")):
            size = os.path.getsize(os.path.join(self.agent.spool, name))
            chance = random.Random(size)
            for at in sorted(chance.sample(range(size), min(100, size))):
                flips.append((name, at, [where, os.path.dirname(name) or where]))
        self.check(self.agent.spool, flips)

    def test_any_byte_of_an_export(self):
        for folder in self.agent.export():
            flips = []
            for name in ("log.ndjson", "checkpoint"):
                size = os.path.getsize(os.path.join(folder, name))
                chance = random.Random(size)
                for at in sorted(chance.sample(range(size), min(250, size))):
                    flips.append((name, at, [name]))
            self.check(folder, flips)

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
