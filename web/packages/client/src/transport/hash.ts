// The hash of a certificate that nobody signed. Such a certificate lives for two weeks at most, and
// a page may be open for longer.

/** SHA-256 of a certificate, hex, or empty; or how to ask for it, as it is at the moment. */
export type CertificateHash = string | (() => Promise<string>);

/** The first time as it was given, then as the server says by then. */
export function currentHash(given: string, again?: () => Promise<{ readonly certificateHash: string }>): CertificateHash {
  if (!given || !again) return given;
  let hash = given;
  let isFirst = true;
  return async () => {
    // A server that does not answer cannot be dialled either.
    if (!isFirst) hash = await again().then((now) => now.certificateHash, () => hash);
    isFirst = false;
    return hash;
  };
}
