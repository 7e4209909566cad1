#!/usr/bin/env python3
"""Writes a C table of the control files: embed.py OUT.c FILE...  (path below controls/, bytes, length)."""
import os
import sys


def literal(data):
    out, line = [], ""
    for b in data:
        if b == 0x0A:
            piece = "\\n"
        elif b in (0x22, 0x5C):
            piece = "\\" + chr(b)
        elif b == 0x3F:  # no trigraphs
            piece = "\\?"
        elif 0x20 <= b < 0x7F:
            piece = chr(b)
        else:
            piece = "\\%03o" % b
        line += piece
        if b == 0x0A or len(line) > 100:
            out.append('    "%s"' % line)
            line = ""
    if line or not out:
        out.append('    "%s"' % line)
    return "\n".join(out)


def main():
    dst, files = sys.argv[1], sys.argv[2:]
    with open(dst + ".tmp", "w", encoding="ascii") as f:
        f.write("/* generated from controls/ */\n#include \"controls/embedded.h\"\n\n")
        names = []
        for i, path in enumerate(files):
            with open(path, "rb") as src:
                data = src.read()
            f.write("static const char file_%d[] =\n%s;\n" % (i, literal(data)))
            names.append((os.path.relpath(path, "controls"), i, len(data)))
        f.write("\nconst struct ea_embedded_file ea_embedded_controls[] = {\n")
        for name, i, n in names:
            f.write('    {"%s", file_%d, %d},\n' % (name, i, n))
        f.write("    {0, 0, 0},\n};\n")
    os.replace(dst + ".tmp", dst)


main()
