"""A second, independent reader of the evidence log, from docs/EVIDENCE.md alone.

Nothing here shares code with the agent, so that what both accept is what the document says.
"""

import base64
import hashlib
import json
import os
import re
import struct
import subprocess
import time

SEGMENT_HEADER = 128
RECORD_HEADER = 40
GENESIS = b"eucs-agent/evidence/v1/genesis\n"


def _crc32c_table():
    table = []
    for n in range(256):
        for _ in range(8):
            n = (n >> 1) ^ (0x82F63B78 if n & 1 else 0)
        table.append(n)
    return table


_CRC = _crc32c_table()
_CRC2 = [_CRC[n & 0xFF] for n in range(65536)]
_CRC2 = [_CRC[(c ^ (n >> 8)) & 0xFF] ^ (c >> 8) for n, c in enumerate(_CRC2)]  # two bytes at once


def crc32c(data):
    crc, even = 0xFFFFFFFF, len(data) & ~1
    for (two,) in struct.iter_unpack("<H", data[:even]):
        crc = _CRC2[(crc ^ two) & 0xFFFF] ^ (crc >> 16)
    for byte in data[even:]:
        crc = _CRC[(crc ^ byte) & 0xFF] ^ (crc >> 8)
    return crc ^ 0xFFFFFFFF


def sha256(data):
    return hashlib.sha256(data).digest()


def leaf_hash(record):
    return sha256(b"\0" + record)


def genesis(origin):
    return sha256(GENESIS + origin.encode() + b"\n")


class Broken(Exception):
    """The log does not hold; the text says where."""


class Record:
    """One record as it lies in a segment; `offset` is that of its header in the file."""

    def __init__(self, file, offset, epoch, raw):
        self.file = file
        self.offset = offset
        self.end = offset + RECORD_HEADER + (len(raw) + 7) // 8 * 8
        self.epoch = epoch
        self.raw = raw
        self.json = json.loads(raw)
        self.seq = self.json["seq"]
        self.type = self.json["type"]
        self.body = self.json["body"]
        self.leaf = leaf_hash(raw)

    @property
    def id(self):
        return self.epoch, self.seq

    def __repr__(self):
        return f"<{self.epoch}:{self.seq} {self.type} {self.body}>"


def segments(folder):
    """The segment files of a log, oldest first."""
    return sorted(os.path.join(folder, n) for n in os.listdir(folder)
                  if re.fullmatch(r"seg-[0-9a-f]{16}\.ev", n))


def _records_of(name, at=SEGMENT_HEADER, expected=None):
    """The records of a segment from byte `at` on, where `expected` is the seq that is due."""
    with open(name, "rb") as f:
        head = f.read(SEGMENT_HEADER)
        f.seek(at)
        data = f.read()
    if len(head) < SEGMENT_HEADER or head[:8] != b"EVSEG001":
        raise Broken(f"{name}: no segment header")
    uuid, epoch, first = head[16:32], *struct.unpack_from("<QQ", head, 32)
    if crc32c(head[:124]) != struct.unpack_from("<I", head, 124)[0]:
        raise Broken(f"{name}: header checksum")
    base, expected = at, first if expected is None else expected
    while data[at - base:at - base + 4] == b"EVR1":
        here = data[at - base:at - base + RECORD_HEADER]
        length, seq = struct.unpack_from("<IQ", here, 4)
        payload_crc, header_crc = struct.unpack_from("<II", here, 32)
        bound = uuid + struct.pack("<QQ", epoch, first) + here[:36]
        if crc32c(bound) != header_crc:
            raise Broken(f"{name}: record header checksum at byte {at}")
        raw = data[at - base + RECORD_HEADER:at - base + RECORD_HEADER + length]
        if len(raw) < length or crc32c(raw) != payload_crc:
            raise Broken(f"{name}: payload checksum at byte {at}")
        if seq != expected:
            raise Broken(f"{name}: seq {seq} where {expected} is due at byte {at}")
        record = Record(name, at, epoch, raw)
        yield record
        expected, at = expected + 1, record.end


def records(folder):
    """Every record of a log's own folder, in order. A live log may be read."""
    out = []
    for name in segments(folder):
        out.extend(_records_of(name))
    return out


class Follower:
    """Reads a live log again and again, each record once."""

    def __init__(self, folder):
        self._folder = folder
        self._found = {}  # by segment

    def records(self):
        for name in segments(self._folder):
            found = self._found.setdefault(name, [])
            last = found[-1] if found else None
            where = (last.end, last.seq + 1) if last else ()
            try:
                new = list(_records_of(name, *where))
            except Broken:  # half a record, being written: it is whole a moment later
                time.sleep(0.2)
                new = list(_records_of(name, *where))
            found.extend(new)
        return [r for name in sorted(self._found) for r in self._found[name]]


def check_chain(found):
    """Raises Broken unless seq and prev of `found` (whole epochs, in order) hold."""
    epoch, prev, seq = None, None, 0
    for record in found:
        if record.epoch != epoch:
            epoch, seq = record.epoch, 0
            prev = genesis(record.json["origin"])
        if record.seq != seq:
            raise Broken(f"epoch {epoch}: seq {record.seq} where {seq} is due")
        if record.json["prev"] != prev.hex():
            raise Broken(f"epoch {epoch}: prev of seq {seq} does not match")
        prev, seq = record.leaf, seq + 1


def _tree_hash(leaves):
    if not leaves:
        return sha256(b"")
    stack = []
    for leaf in leaves:
        stack.append((1, leaf))
        while len(stack) > 1 and stack[-1][0] == stack[-2][0]:
            (size, right), (_, left) = stack.pop(), stack.pop()
            stack.append((2 * size, sha256(b"\1" + left + right)))
    while len(stack) > 1:
        (_, right), (size, left) = stack.pop(), stack.pop()
        stack.append((size, sha256(b"\1" + left + right)))
    return stack[0][1]


def check_export(folder):
    """Verifies one exported epoch as an auditor would, with Python and openssl alone.

    Returns (records in the log, records covered by the checkpoint).
    """
    with open(os.path.join(folder, "checkpoint"), "rb") as f:
        text, _, signatures = f.read().partition(b"\n\n")
    text += b"\n"
    origin, size, root = text.decode().split("\n")[:3]
    prev, leaves = genesis(origin), []
    with open(os.path.join(folder, "log.ndjson"), "rb") as f:
        for line in f:
            record = json.loads(line)
            seen = (record["origin"], record["seq"], record["prev"])
            if seen != (origin, len(leaves), prev.hex()):
                raise Broken(f"{folder}: chain broken at {len(leaves)}")
            prev = leaf_hash(line.rstrip(b"\n"))
            leaves.append(prev)
    if len(leaves) < int(size):
        raise Broken(f"{folder}: {len(leaves)} records, the checkpoint has {size}")
    if base64.b64decode(root) != _tree_hash(leaves[:int(size)]):
        raise Broken(f"{folder}: root does not match")
    _check_signature(folder, text, signatures)
    return len(leaves), int(size)


def _check_signature(folder, text, signatures):
    name, _, blob = signatures.decode().splitlines()[0].rpartition(" ")
    if name != "\u2014 " + text.decode().split("\n")[0]:
        raise Broken(f"{folder}: signed by {name!r}")
    work = {"cp.txt": text, "cp.sig": base64.b64decode(blob)[4:]}
    for part, data in work.items():
        with open(os.path.join(folder, part), "wb") as f:
            f.write(data)
    done = subprocess.run(
        ["openssl", "pkeyutl", "-verify", "-pubin", "-inkey", "key.pem", "-rawin",
         "-in", "cp.txt", "-sigfile", "cp.sig"], cwd=folder, capture_output=True, check=False)
    for part in work:
        os.unlink(os.path.join(folder, part))
    if done.returncode:
        raise Broken(f"{folder}: signature: {done.stderr.decode().strip()}")


POSITION = re.compile(r"^(?P<node>[0-9a-f-]{36})-e(?P<epoch>\d+)-(?P<seq>\d+)"
                      r":(?P<leaf>[0-9a-f]{16})$")


def parse_position(text):
    """(epoch, seq, first 8 bytes of the leaf in hex) of an audit annotation, or None."""
    match = POSITION.match(text)
    return (int(match["epoch"]), int(match["seq"]), match["leaf"]) if match else None
