// A certificate for localhost, signed by a CA that exists for one test.

import { execFileSync } from "node:child_process";
import { createHash, X509Certificate } from "node:crypto";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

/** Makes a CA and a certificate; `spki` is what Chromium is told to trust. */
export function testCertificate() {
  const dir = mkdtempSync(join(tmpdir(), "gogochat-ca-"));
  const file = (name) => join(dir, name);
  const openssl = (...args) => execFileSync("openssl", args, { stdio: ["ignore", "ignore", "pipe"] });
  const key = (name) => openssl("ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", file(name));
  key("ca.key");
  openssl("req", "-x509", "-new", "-key", file("ca.key"), "-days", "2", "-subj", "/CN=gogochat test CA", "-out", file("ca.pem"));
  key("server.key");
  openssl("req", "-new", "-key", file("server.key"), "-subj", "/CN=localhost", "-out", file("server.csr"));
  writeFileSync(file("ext"), "subjectAltName=DNS:localhost,IP:127.0.0.1\nextendedKeyUsage=serverAuth\n");
  openssl("x509", "-req", "-in", file("server.csr"), "-CA", file("ca.pem"), "-CAkey", file("ca.key"), "-CAcreateserial", "-days", "2", "-extfile", file("ext"), "-out", file("server.pem"));
  const certificate = new X509Certificate(readFileSync(file("server.pem")));
  const spki = createHash("sha256").update(certificate.publicKey.export({ type: "spki", format: "der" })).digest("base64");
  return {
    ca: file("ca.pem"),
    certificate: file("server.pem"),
    key: file("server.key"),
    spki,
    remove: () => rmSync(dir, { recursive: true, force: true }),
  };
}
