import { generateKeyPairSync, sign } from 'node:crypto';
import { digestOf, outputKeyBytes, type PutOp, signedBytes } from '@felucca/contract';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { TrustedKeys } from './verify.ts';

const { privateKey, publicKey } = generateKeyPairSync('ed25519');
const trust = new TrustedKeys({ k1: publicKey.export({ format: 'jwk' }).x! });

function signed(over: Partial<PutOp> = {}): PutOp {
  const spec = { suspend: false };
  const op: PutOp = {
    op: 'put',
    kind: 'Instance',
    key: 'acme/db',
    rev: '7',
    id: 'id-1',
    generation: 2,
    hash: digestOf(spec),
    spec,
    kid: 'k1',
    sig: '',
    ...over,
  };
  const bytes = signedBytes({ dataPlaneId: 'dp', ...op, deleted: false });
  return { ...op, sig: sign(null, bytes, privateKey).toString('base64url') };
}

describe('the signature of a row', () => {
  it('is valid for what was signed', () => {
    expect(trust.verify(signed(), 'dp')).toEqual({ ok: true });
  });

  // Invariant L24.
  it('breaks with any change of what steers the cluster', () => {
    const change = fc.constantFrom<Partial<PutOp>>(
      { key: 'acme/other' },
      { id: 'id-2' },
      { generation: 3 },
      { kind: 'Tenant' },
      { kid: 'k2' },
      { spec: { suspend: true } },
      { hash: digestOf({ suspend: true }) },
      { hash: digestOf({ suspend: true }), spec: { suspend: true } },
    );
    fc.assert(fc.property(change, (over) => !trust.verify({ ...signed(), ...over }, 'dp').ok));
  });

  // Invariant L24.
  it('does not count on another data plane', () => {
    expect(trust.verify(signed(), 'other')).toMatchObject({ ok: false, code: 'SignatureInvalid' });
  });

  // Invariant L14.
  it('of a put does not sign a tombstone', () => {
    const { spec: _, hash: __, ...row } = signed();
    expect(trust.verify({ ...row, op: 'del' }, 'dp')).toMatchObject({ ok: false });
  });

  it('survives garbage', () => {
    fc.assert(
      fc.property(fc.string({ maxLength: 128 }), (sig) => !trust.verify({ ...signed(), sig }, 'dp').ok),
    );
  });
});

// Invariant L38.
describe('a key for sensitive outputs', () => {
  const sig = (dataPlane: string) =>
    sign(null, outputKeyBytes(dataPlane, 'x'), privateKey).toString('base64url');

  it('counts when a trusted key signed it for this data plane, and else not', () => {
    expect(trust.isOutputKey({ key: 'x', kid: 'k1', sig: sig('dp') }, 'dp')).toBe(true);
    for (const [other, of] of [
      [{ key: 'y' }, 'dp'],
      [{ kid: 'k2' }, 'dp'],
      [{ sig: sig('dp2') }, 'dp'],
      [{ sig: signed().sig }, 'dp'],
      [{}, 'dp2'],
    ] as const)
      expect(trust.isOutputKey({ key: 'x', kid: 'k1', sig: sig('dp'), ...other }, of)).toBe(false);
  });
});
