import { createPublicKey, type KeyObject, verify } from 'node:crypto';
import { digestOf, type Op, outputKeyBytes, type SignedOutputKey, signedBytes } from '@felucca/contract';

export type Verdict =
  | { ok: true }
  | { ok: false; code: 'SignatureInvalid' | 'DigestMismatch'; message: string };

/** The control plane's signing keys: pinned when the operator joined, or named by a row that such a key signed. */
export class TrustedKeys {
  private named: Record<string, string> = {};
  private objects = new Map<string, KeyObject>();

  /** @param keys kid → Ed25519 public key (JWK `x`). */
  constructor(keys: Record<string, string>) {
    this.only(keys);
  }

  get keys(): Readonly<Record<string, string>> {
    return this.named;
  }
  /** These and no others. @throws when one of them is no key */
  only(keys: Record<string, string>): void {
    this.objects = new Map(
      Object.entries(keys).map(([kid, x]) => [
        kid,
        createPublicKey({ key: { kty: 'OKP', crv: 'Ed25519', x }, format: 'jwk' }),
      ]),
    );
    this.named = { ...keys };
  }

  /** Checks the content against its hash, and the signature over everything that steers the cluster. */
  verify(op: Op, dataPlaneId: string): Verdict {
    if (op.op === 'put' && digestOf(op.spec) !== op.hash)
      return { ok: false, code: 'DigestMismatch', message: `the spec does not have the digest ${op.hash}` };
    const { kind, key, id, generation } = op;
    const hash = op.op === 'put' ? op.hash : '';
    return this.verifyStamp(
      { dataPlaneId, kind, key, id, generation, hash, deleted: op.op === 'del' },
      op.kid,
      op.sig,
    );
  }

  isOutputKey({ key, kid, sig }: SignedOutputKey, dataPlaneId: string): boolean {
    const signer = this.objects.get(kid);
    const bytes = outputKeyBytes(dataPlaneId, key);
    return signer !== undefined && verify(null, bytes, signer, Buffer.from(sig, 'base64url'));
  }

  verifyStamp(row: Parameters<typeof signedBytes>[0], kid: string, sig: string): Verdict {
    const invalid = (message: string): Verdict => ({ ok: false, code: 'SignatureInvalid', message });
    const key = this.objects.get(kid);
    if (!key)
      return invalid(
        `key ${kid} is not trusted here: neither pinned at join, nor named by the data plane since`,
      );
    const valid = verify(null, signedBytes(row), key, Buffer.from(sig, 'base64url'));
    return valid ? { ok: true } : invalid(`key ${kid} did not sign this row; the last good one is kept`);
  }
}
