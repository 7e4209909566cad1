#!/usr/bin/env python3
"""Runs the conformance files of google/cel-spec against `cel eval --env cel --batch`.

    conformance.py CEL_SPEC COMMAND...     e.g. conformance.py ../cel-spec build/eucs-agent cel eval --env cel --batch

Reads protobuf text (SimpleTestFile), sends every usable case as one JSON line, compares what comes back. Cases that need protobuf
messages or containers are listed by name with the reason in conformance-excluded.txt; everything else must pass.
"""
import base64
import json
import os
import re
import subprocess
import sys

TOKEN = re.compile(r"""\s+|\#[^\n]*|(?P<str>"(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)*')|(?P<punct>[{}\[\]:,;<>])|(?P<word>[^\s{}\[\]:,;<>"'#]+)""",
                   re.S)
SIMPLE = {"a": 7, "b": 8, "f": 12, "n": 10, "r": 13, "t": 9, "v": 11, "\\": 92, "'": 39, '"': 34, "?": 63}


def unescape(body):
    """Bytes of a protobuf text string."""
    out, i, data = bytearray(), 0, body
    while i < len(data):
        c = data[i]
        if c != "\\":
            out += c.encode()
            i += 1
            continue
        c = data[i + 1]
        i += 2
        if c in SIMPLE:
            out.append(SIMPLE[c])
        elif c in "xX":
            m = re.match(r"[0-9a-fA-F]{1,2}", data[i:])
            out.append(int(m.group(), 16))
            i += m.end()
        elif c in "01234567":
            m = re.match(r"[0-7]{0,2}", data[i:])
            out.append(int(c + m.group(), 8) & 0xFF)
            i += m.end()
        elif c in "uU":
            n = 4 if c == "u" else 8
            out += chr(int(data[i:i + n], 16)).encode()
            i += n
        else:
            raise ValueError("escape \\" + c)
    return bytes(out)


def tokens(text):
    at, out = 0, []
    while at < len(text):
        m = TOKEN.match(text, at)
        if not m:
            raise ValueError("at %r" % text[at:at + 40])
        at = m.end()
        if m.group("str"):
            out.append(("str", unescape(m.group("str")[1:-1])))
        elif m.group("punct"):
            out.append(("punct", m.group("punct")))
        elif m.group("word"):
            out.append(("word", m.group("word")))
    return out


class Reader:
    """Messages become lists of (field, value); strings are bytes, everything else text."""

    def __init__(self, text):
        self.toks, self.at = tokens(text), 0

    def peek(self):
        return self.toks[self.at] if self.at < len(self.toks) else ("end", "")

    def take(self):
        self.at += 1
        return self.toks[self.at - 1]

    def message(self, close):
        fields = []
        while self.peek() != ("punct", close) and self.peek()[0] != "end":
            kind, name = self.take()
            if (kind, name) == ("punct", "["):  # [type.googleapis.com/…]
                name = "[" + self.take()[1] + "]"
                self.take()
            if self.peek() == ("punct", ":"):
                self.take()
            self.value(name, fields)
            while self.peek() in (("punct", ","), ("punct", ";")):
                self.take()
        if close:
            self.take()
        return fields

    def value(self, name, fields):
        kind, tok = self.peek()
        if (kind, tok) == ("punct", "{") or (kind, tok) == ("punct", "<"):
            self.take()
            fields.append((name, self.message("}" if tok == "{" else ">")))
        elif (kind, tok) == ("punct", "["):
            self.take()
            while self.peek() != ("punct", "]"):
                self.value(name, fields)
                if self.peek() == ("punct", ","):
                    self.take()
            self.take()
        elif kind == "str":
            data = b""
            while self.peek()[0] == "str":
                data += self.take()[1]
            fields.append((name, data))
        else:
            self.take()
            fields.append((name, tok))


def get(msg, name, default=None):
    for k, v in msg:
        if k == name:
            return v
    return default


def get_all(msg, name):
    return [v for k, v in msg if k == name]


class NotUsable(Exception):
    pass


def rfc3339(seconds, nanos):
    import datetime
    t = datetime.datetime(1970, 1, 1) + datetime.timedelta(seconds=seconds)
    s = "%04d-%02d-%02dT%02d:%02d:%02d" % (t.year, t.month, t.day, t.hour, t.minute, t.second)
    return s + (".%09d" % nanos).rstrip("0").rstrip(".") * (nanos != 0) + "Z"


def tagged_object(obj):
    kind, body = obj[0]
    seconds, nanos = int(get(body, "seconds", "0")), int(get(body, "nanos", "0"))
    if kind.endswith("google.protobuf.Duration]"):
        total = seconds * 10**9 + nanos
        sign, total = ("-", -total) if total < 0 else ("", total)
        return {"duration": "%s%d%ss" % (sign, total // 10**9, (".%09d" % (total % 10**9)).rstrip("0") if total % 10**9 else "")}
    if kind.endswith("google.protobuf.Timestamp]"):
        return {"timestamp": rfc3339(seconds, nanos)}
    raise NotUsable("protobuf message")


def tagged(value):
    """cel.expr.Value as TAGGED."""
    kind, v = value[0] if value else ("null_value", None)
    if kind in ("int64_value", "uint64_value"):
        return {kind[:-8]: str(int(v, 0))}
    if kind == "double_value":
        return {"double": v}
    if kind == "bool_value":
        return {"bool": v == "true"}
    if kind == "string_value":
        return {"string": v.decode()}
    if kind == "bytes_value":
        return {"bytes": base64.b64encode(v).decode()}
    if kind == "null_value":
        return {"null": None}
    if kind == "type_value":
        return {"type": v.decode()}
    if kind == "list_value":
        return {"list": [tagged(x) for x in get_all(v, "values")]}
    if kind == "map_value":
        return {"map": [[tagged(get(e, "key")), tagged(get(e, "value"))] for e in get_all(v, "entries")]}
    if kind == "object_value":
        return tagged_object(v)
    raise NotUsable(kind)


def rename(t):
    """int64 → int, uint64 → uint in what tagged() made."""
    if isinstance(t, dict):
        return {{"int64": "int", "uint64": "uint"}.get(k, k): rename(v) for k, v in t.items()}
    if isinstance(t, list):
        return [rename(x) for x in t]
    return t


def same(a, b):
    if not isinstance(a, dict) or not isinstance(b, dict) or set(a) != set(b):
        return False
    (kind,) = a
    x, y = a[kind], b[kind]
    if kind == "double":
        x, y = float(x), float(y)
        return x == y or (x != x and y != y)
    if kind == "list":
        return len(x) == len(y) and all(same(p, q) for p, q in zip(x, y))
    if kind == "map":
        rest = list(y)
        for k, v in x:
            for i, (k2, v2) in enumerate(rest):
                if same(k, k2) and same(v, v2):
                    del rest[i]
                    break
            else:
                return False
        return not rest
    if kind == "optional":
        return x == y or (x is not None and y is not None and same(x, y))
    return x == y


def cases(path):
    with open(path, encoding="utf-8") as f:
        doc = Reader(f.read()).message("")
    name = get(doc, "name", b"").decode() or os.path.basename(path).split(".")[0]
    for section in get_all(doc, "section"):
        sname = get(section, "name").decode()
        for test in get_all(section, "test"):
            yield "%s/%s/%s" % (name, sname, get(test, "name").decode()), test


def read_excluded():
    """{"file/section/name": reason}; names repeat in the files, so a reason holds for each."""
    path = os.path.join(os.path.dirname(os.path.abspath(__file__)), "conformance-excluded.txt")
    with open(path, encoding="utf-8") as f:
        return dict(line.rstrip("\n").rsplit(": ", 1) for line in f if line.strip())


def expectation(test):
    """What comes back: TAGGED, or None for an error."""
    want = get(test, "value")
    typed = get(test, "typed_result")
    if typed is not None:
        want = get(typed, "result")
    if get(test, "eval_error") is not None or get(test, "any_eval_errors") is not None:
        return None
    return rename(tagged(want)) if want is not None else {"bool": True}


def load(folder, excluded):
    todo, skipped = [], []
    for entry in sorted(os.listdir(folder)):
        if not entry.endswith(".textproto"):
            continue
        for ident, test in cases(os.path.join(folder, entry)):
            if ident in excluded:
                skipped.append(ident)
                continue
            binds = {}
            for b in get_all(test, "bindings"):
                binds[get(b, "key").decode()] = rename(tagged(get(get(b, "value"), "value")))
            todo.append((ident, {"expr": get(test, "expr").decode(), "bindings": binds,
                                 "disableMacros": get(test, "disable_macros") == "true"}, expectation(test)))
    return todo, skipped


def main():
    folder, command = sys.argv[1], sys.argv[2:]
    if not os.path.isdir(folder):
        print("cel-conformance: %s is not there, skipped" % folder)
        return 0
    excluded = read_excluded()
    todo, skipped = load(folder, excluded)
    lines = "".join(json.dumps(dict(c, id=i), ensure_ascii=False) + "\n" for i, (_, c, _) in enumerate(todo))
    run = subprocess.run(command, input=lines.encode(), stdout=subprocess.PIPE, check=False)
    answers = {}
    for line in run.stdout.decode().splitlines():
        answer = json.loads(line)
        answers[answer["id"]] = answer
    failed = 0
    for i, (ident, case, expect) in enumerate(todo):
        got = answers.get(i, {"error": "no answer", "kind": "none"})
        if expect is None:
            ok = "error" in got and got.get("kind") != "none"
        else:
            ok = "value" in got and same(got["value"], expect)
        if not ok:
            failed += 1
            print("FAILED %s\n  expr %s\n  want %s\n  got  %s" % (
                ident, case["expr"], "an error" if expect is None else json.dumps(expect),
                json.dumps({k: v for k, v in got.items() if k != "id"})))
    for ident in sorted(set(excluded) - set(skipped)):
        failed += 1
        print("FAILED %s is excluded, but there is no such case" % ident)
    reasons = {}
    for ident in skipped:
        reasons[excluded[ident]] = reasons.get(excluded[ident], 0) + 1
    print("cel-conformance: %d passed, %d failed, %d not run (%s)" % (
        len(todo) - failed, failed, len(skipped), ", ".join("%d %s" % (n, why) for why, n in sorted(reasons.items()))))
    return 1 if failed or run.returncode else 0


sys.exit(main())
