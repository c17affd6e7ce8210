import { changedBy, type DriftRecord, FIELD_MANAGERS } from '@felucca/contract';
import type { LiveObject } from '../cluster.ts';
import type { DriftFinding } from './plan.ts';

const MAX_RECORDS = 20;
/** Of all records together: an Instance's status stays below 32 KiB. */
const MAX_BYTES = 8 * 1024;

/** What is kept of a drift: where, what, who, when and what we did. */
export function driftRecord(
  finding: DriftFinding,
  live: LiveObject | undefined,
  desired: unknown,
  action: DriftRecord['action'],
  now: Date,
): DriftRecord {
  const secret = finding.kind === 'Secret' && finding.path !== '';
  const by =
    finding.path === ''
      ? undefined
      : changedBy(live?.metadata.managedFields, finding.path, FIELD_MANAGERS.reconciler, desired);
  return {
    object: `${finding.kind}/${finding.name}`.slice(0, 256),
    path: finding.path.slice(0, 512),
    expected: secret ? 'a secret value' : shown(finding.expected),
    actual: secret ? 'another secret value' : shown(finding.actual),
    manager: (by?.manager ?? 'unknown').slice(0, 128),
    detectedAt: now.toISOString(),
    action,
  };
}

function shown(value: unknown): string {
  if (value === undefined) return 'absent';
  const text = typeof value === 'string' ? value : JSON.stringify(value);
  return text.length > 512 ? `${text.slice(0, 511)}…` : text;
}

/** A reported drift lasts; it is recorded once and not at every look. */
export const isKnown = (record: DriftRecord, records: readonly DriftRecord[]): boolean =>
  record.action === 'reported' &&
  records.some(
    (old) =>
      old.object === record.object &&
      old.path === record.path &&
      old.actual === record.actual &&
      old.expected === record.expected &&
      old.action === 'reported',
  );

/** Newest first, bounded in number and size. */
export function withDrift(records: readonly DriftRecord[], added: readonly DriftRecord[]): DriftRecord[] {
  let bytes = 0;
  return [...added.toReversed(), ...records].slice(0, MAX_RECORDS).filter((record, index) => {
    bytes += Buffer.byteLength(JSON.stringify(record));
    return index === 0 || bytes <= MAX_BYTES;
  });
}
