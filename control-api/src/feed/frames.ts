import { FEED_KINDS, type Frame } from '@felucca/contract';
import type { FeedRow } from './rows.ts';

const rank = Object.fromEntries(FEED_KINDS.map((kind, index) => [kind, index])) as Record<
  FeedRow['kind'],
  number
>;

/** One NDJSON line. */
export const frameLine = (frame: Frame): string => `${JSON.stringify(frame)}\n`;

/** The spec is spliced in as the text that Postgres printed: parsing it here would only cost time. */
function opJson(row: FeedRow): string {
  const { kind, key, rev, id, generation, kid, sig, traceparent } = row;
  const trace = traceparent === null ? {} : { traceparent };
  if (row.deleted || row.spec === null)
    return JSON.stringify({ op: 'del', kind, key, rev, id, generation, kid, sig, ...trace });
  const head = JSON.stringify({
    op: 'put',
    kind,
    key,
    rev,
    id,
    generation,
    hash: row.hash,
    kid,
    sig,
    ...trace,
  });
  return `${head.slice(0, -1)},"spec":${row.spec}}`;
}

/** What others need comes first (Blueprint, Tenant, Instance); tombstones run the other way, at the end. */
function inOrder(a: FeedRow, b: FeedRow): number {
  if (a.deleted !== b.deleted) return a.deleted ? 1 : -1;
  const byKind = rank[a.kind] - rank[b.kind];
  if (byKind !== 0) return a.deleted ? -byKind : byKind;
  return Number(BigInt(a.rev) - BigInt(b.rev));
}

const opsJson = (rows: FeedRow[]): string => `[${rows.map(opJson).join(',')}]`;

export function deltaLine(delta: { from: bigint; to: bigint; complete: boolean; rows: FeedRow[] }): string {
  const { from, to, complete, rows } = delta;
  const ops = opsJson(rows.toSorted(inOrder));
  return `{"type":"delta","from":"${from}","to":"${to}","complete":${complete},"ops":${ops}}\n`;
}

export function snapshotLine(page: {
  at: bigint;
  page: number;
  last: boolean;
  repair: string | undefined;
  rows: FeedRow[];
}): string {
  const { at, page: number, last, repair, rows } = page;
  const scope = repair === undefined ? '' : `"repair":"${repair}",`;
  return `{"type":"snapshot","at":"${at}","page":${number},"last":${last},${scope}"ops":${opsJson(rows)}}\n`;
}
