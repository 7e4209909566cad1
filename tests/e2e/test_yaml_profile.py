"""The `kubernetes` YAML profile resolves every document as sigs.k8s.io/yaml does."""

import glob
import json
import os
import re
import subprocess
import tempfile
import unittest

from harness import BIN, BUILD, HERE, ROOT

CORPUS = os.path.join(ROOT, "tests", "cluster", "yaml")
TOOL = os.path.join(BUILD, "e2e", "yaml2json")
INT64 = range(-2**63, 2**63)


def build_tool():
    """The C program that prints what doc/ makes of YAML; it needs two rooms and no Makefile."""
    os.makedirs(os.path.dirname(TOOL), exist_ok=True)
    sources = [os.path.join(HERE, "yaml2json.c")]
    for room in ("base", "doc"):
        sources += sorted(glob.glob(os.path.join(ROOT, "agent", room, "*.c")))
    subprocess.run(["cc", "-std=gnu17", "-D_GNU_SOURCE", "-O1", "-g",
                    "-fsanitize=address,undefined", "-I" + os.path.join(ROOT, "agent"),
                    "-o", TOOL, *sources, "-lyaml", "-lcjson", "-lpthread", "-lm"], check=True)


def number(token):
    """A JSON number as the API server reads it: an integer when it looks like one and fits."""
    if re.fullmatch(r"-?\d+", token) and int(token) in INT64:
        return "int", int(token)
    return "float", float(token)


def decode(line):
    """A line of JSON in which 1 and 1.0 are different and object members have no order."""
    return json.loads(line, parse_int=number, parse_float=number)


def refused(value):
    return isinstance(value, dict) and "$error" in value


def split(text):
    """The documents of a stream as kubectl splits it: at lines that begin with ---."""
    return re.split(rb"^---(?=\s|$).*\n?", text, flags=re.M)


class Profile(unittest.TestCase):
    maxDiff = None

    @classmethod
    def setUpClass(cls):
        build_tool()

    def agent(self, path):
        done = subprocess.run([TOOL, path], capture_output=True, text=True, check=True)
        return [decode(line) for line in done.stdout.split("\n")[1:] if line]

    def reference(self, path):
        done = subprocess.run([os.path.join(BIN, "yamlref"), path], capture_output=True, text=True,
                              check=True)
        return [decode(line) for line in done.stdout.split("\n") if line]

    def compare(self, text, label):
        with tempfile.NamedTemporaryFile(suffix=".yaml") as f:
            f.write(text)
            f.flush()
            ours, theirs = self.agent(f.name), self.reference(f.name)
        with self.subTest(label):
            if any(map(refused, theirs)):
                self.assertTrue(any(map(refused, ours)), f"accepted: {text!r} as {ours}")
                return
            # kubectl drops empty documents in some places and not in others; they are no objects
            self.assertEqual([d for d in ours if d is not None],
                             [d for d in theirs if d is not None], f"of {text!r}")

    def test_corpus_is_large_enough(self):
        documents = 0
        for name in glob.glob(os.path.join(CORPUS, "*.yaml")):
            with open(name, "rb") as f:
                documents += len([d for d in split(f.read()) if d.strip()])
        self.assertGreaterEqual(documents, 60)

    def test_every_document(self):
        for name in sorted(glob.glob(os.path.join(CORPUS, "*.yaml"))):
            with open(name, "rb") as f:
                text = f.read()
            for i, document in enumerate(split(text)):
                self.compare(document, f"{os.path.basename(name)} document {i}")

    def test_every_good_stream(self):
        for name in sorted(glob.glob(os.path.join(CORPUS, "[!b]*.yaml"))):
            with open(name, "rb") as f:
                self.compare(f.read(), os.path.basename(name))

    def test_the_json_escape_of_a_slash_is_accepted(self):
        """The one known difference: kubectl takes it in JSON alone, libyaml everywhere."""
        with tempfile.NamedTemporaryFile(suffix=".yaml") as f:
            f.write(rb'a: "\/"')
            f.flush()
            self.assertEqual(self.agent(f.name), [{"a": "/"}])
            self.assertTrue(refused(self.reference(f.name)[0]))
