"""Certificates for the test control plane, made with the openssl command."""

import os
import subprocess


def openssl(*args, cwd=None):
    """Run openssl and return its output; its complaint becomes the exception's text."""
    done = subprocess.run(["openssl", *args], cwd=cwd, capture_output=True, check=False)
    if done.returncode:
        raise RuntimeError(f"openssl {' '.join(args)}: {done.stderr.decode(errors='replace')}")
    return done.stdout


def make_key(path):
    """An EC P-256 private key at `path`, readable by its owner alone."""
    openssl("genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", "-out", path)
    os.chmod(path, 0o600)


class Authority:
    """A certificate authority: NAME.crt and NAME.key in `folder`, what it issued beside them."""

    def __init__(self, folder, name="ca"):
        self.folder = folder
        self.crt = os.path.join(folder, name + ".crt")
        self.key = os.path.join(folder, name + ".key")
        self._name = name
        if not os.path.exists(self.crt):
            make_key(self.key)
            openssl("req", "-x509", "-new", "-key", self.key, "-sha256", "-days", "30",
                    "-subj", f"/CN=eucs-test-{name}", "-out", self.crt,
                    "-addext", "basicConstraints=critical,CA:TRUE",
                    "-addext", "keyUsage=critical,digitalSignature,keyCertSign,cRLSign")

    def issue(self, name, subject, sans=()):
        """A certificate for `subject` (openssl's /O=…/CN=… form); returns (certificate, key).

        With `sans` it serves as a server's too, else it is a client's only.
        """
        base = os.path.join(self.folder, name)
        if os.path.exists(base + ".crt"):
            return base + ".crt", base + ".key"
        make_key(base + ".key")
        usage = "serverAuth,clientAuth" if sans else "clientAuth"
        extensions = ["basicConstraints=critical,CA:FALSE", "keyUsage=critical,digitalSignature",
                      f"extendedKeyUsage={usage}"]
        if sans:
            extensions.append("subjectAltName=" + ",".join(sans))
        with open(base + ".ext", "w", encoding="ascii") as f:
            f.write("\n".join(extensions) + "\n")
        openssl("req", "-new", "-key", base + ".key", "-subj", subject, "-out", base + ".csr")
        openssl("x509", "-req", "-in", base + ".csr", "-CA", self.crt, "-CAkey", self.key,
                "-CAcreateserial", "-sha256", "-days", "30", "-extfile", base + ".ext",
                "-out", base + ".crt")
        return base + ".crt", base + ".key"


def read_text(path):
    """The whole of a small text file."""
    with open(path, encoding="utf-8") as f:
        return f.read()
