import { createHash } from 'node:crypto';
import { z } from 'zod';
import type { FeedKind } from './identity.ts';

/** What the digest of a live row is of: two sides with equal digests hold the same resources in the same state. */
export interface DigestRow {
  kind: FeedKind;
  key: string;
  id: string;
  rev: string;
  generation: number;
  hash: string;
}

/**
 * Term of one live row in a data plane's digest: the first 128 bits of SHA-256, as BigInt. Id and generation are in it
 * because a restored database gives revisions a second time.
 */
export function rowDigest({ kind, key, id, rev, generation, hash: rowHash }: DigestRow): bigint {
  const bytes = createHash('sha256')
    .update(`${kind}\n${key}\n${id}\n${rev}\n${generation}\n${rowHash}`)
    .digest();
  return bytes.readBigUInt64BE(0) * 0x1_0000_0000_0000_0000n + bytes.readBigUInt64BE(8);
}

/** XOR of all live rows' terms, 32 hex digits. Finds faults, not forgers: signatures do that. */
export const formatDigest = (digest: bigint): string => digest.toString(16).padStart(32, '0');
export const EMPTY_DIGEST = formatDigest(0n);

/** Two sides whose digests differ compare those of so many parts, and only what is in differing ones travels. */
export const BUCKETS = 256;
/** The first byte of SHA-256(kind, key): a key stays in its bucket whatever becomes of its row. */
export const bucketOf = (kind: FeedKind, key: string): number =>
  createHash('sha256').update(`${kind}\n${key}`).digest()[0]!;

/** Some of the buckets: 256 bits as 64 hex digits, bit n of byte n / 8, as Postgres counts them. */
export const bucketSetSchema = z.string().regex(/^[0-9a-f]{64}$/, 'must be a set of buckets');
export function bucketSet(buckets: Iterable<number>): string {
  const bits = Buffer.alloc(BUCKETS / 8);
  for (const bucket of buckets) bits[bucket >> 3]! |= 1 << (bucket & 7);
  return bits.toString('hex');
}
export const hasBucket = (set: string, bucket: number): boolean =>
  (Number.parseInt(set.slice((bucket >> 3) * 2, (bucket >> 3) * 2 + 2), 16) & (1 << (bucket & 7))) !== 0;
export const NO_BUCKETS = bucketSet([]);

/** Digests of all buckets over live rows, as `formatDigest`; the XOR of all is the digest. */
export function bucketDigests(rows: Iterable<DigestRow>): string[] {
  const digests = Array.from({ length: BUCKETS }, () => 0n);
  for (const row of rows) digests[bucketOf(row.kind, row.key)]! ^= rowDigest(row);
  return digests.map(formatDigest);
}
export const differingBuckets = (ours: readonly string[], theirs: readonly string[]): string =>
  bucketSet(ours.flatMap((digest, bucket) => (digest === theirs[bucket] ? [] : [bucket])));
