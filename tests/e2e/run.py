#!/usr/bin/python3
"""Runs the end-to-end tests: one line a test, and a last line 'N passed, N failed'.

    tests/e2e/run.sh [-k WORD]... [--list] [MODULE]...

Exit 0 when nothing failed, else 1. Environment: EUCS_AGENT (the binary), EUCS_CLUSTER_BIN (the
control plane's), EUCS_E2E_KEEP=1 (keep the work folder). run.sh builds the control plane first.
"""

import argparse
import os
import sys
import time
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)


class Lines(unittest.TestResult):
    """One line a test as it ends; the reason of a failure right below it."""

    def __init__(self):
        super().__init__()
        self.passed = 0
        self._began = time.monotonic()

    def startTest(self, test):
        super().startTest(test)
        self._began = time.monotonic()

    def _line(self, word, test, detail=""):
        name = test.id() if hasattr(test, "id") else str(test)
        print(f"{word:5s}{name} ({time.monotonic() - self._began:.1f} s)", flush=True)
        for line in detail.rstrip().splitlines():
            print("     | " + line, flush=True)

    def addSuccess(self, test):
        super().addSuccess(test)
        self.passed += 1
        self._line("ok", test)

    def addFailure(self, test, err):
        super().addFailure(test, err)
        self._line("FAIL", test, self.failures[-1][1])

    def addError(self, test, err):
        super().addError(test, err)
        self._line("FAIL", test, self.errors[-1][1])

    def addSubTest(self, test, subtest, err):
        super().addSubTest(test, subtest, err)
        if err is not None:
            self._line("FAIL", subtest, self._exc_info_to_string(err, test))

    def addSkip(self, test, reason):
        super().addSkip(test, reason)
        self._line("skip", test, reason)


def flatten(suite):
    for item in suite:
        if isinstance(item, unittest.TestSuite):
            yield from flatten(item)
        else:
            yield item


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("-k", action="append", metavar="WORD", help="only tests with WORD in them")
    parser.add_argument("--list", action="store_true", help="name the tests, run nothing")
    parser.add_argument("module", nargs="*", help="test_admission, … (default: all)")
    options = parser.parse_args()
    loader = unittest.TestLoader()
    if options.module:
        suite = loader.loadTestsFromNames([m.removesuffix(".py") for m in options.module])
    else:
        suite = loader.discover(HERE, "test_*.py", HERE)
    tests = [t for t in flatten(suite)
             if not options.k or any(word in t.id() for word in options.k)]
    if options.list:
        print("\n".join(t.id() for t in tests))
        return 0
    result = Lines()
    unittest.TestSuite(tests).run(result)
    failed = len(result.failures) + len(result.errors)
    if result.skipped:
        print(f"{len(result.skipped)} skipped, see above why")
    print(f"{result.passed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
