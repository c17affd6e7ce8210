import {
  changedBy,
  changer,
  type DriftRecord,
  driftText,
  FIELD_MANAGERS,
  isSecretValue,
} from '@felucca/contract';
import type { LiveObject } from '../cluster.ts';
import type { DriftFinding } from './plan.ts';

const MAX_RECORDS = 20;
/** Of all records together: an Instance's status stays below 32 KiB. */
const MAX_BYTES = 8 * 1024;

/** What is kept of a drift: where, what, who, when and what we did; and when it was changed, as far as that is known. */
export function driftRecord(
  finding: DriftFinding,
  live: LiveObject | undefined,
  desired: unknown,
  action: DriftRecord['action'],
  now: Date,
): { record: DriftRecord; changedAt?: string } {
  const secret = isSecretValue(finding.kind, finding.path);
  const by =
    finding.path === ''
      ? undefined
      : changedBy(live?.metadata.managedFields, finding.path, FIELD_MANAGERS.reconciler, desired);
  const record: DriftRecord = {
    object: `${finding.kind}/${finding.name}`.slice(0, 256),
    path: finding.path.slice(0, 512),
    expected: secret ? 'a secret value' : driftText(finding.expected),
    actual: secret ? 'another secret value' : driftText(finding.actual),
    manager: (by?.manager ?? 'unknown').slice(0, 128),
    detectedAt: now.toISOString(),
    action,
  };
  return { record, ...(by?.time ? { changedAt: by.time } : {}) };
}

export const driftMessage = ({ object, path, expected, actual, manager }: DriftRecord): string =>
  path === ''
    ? `${object} was deleted by somebody`
    : `${object} ${path}: expected ${expected}, found ${actual}, changed by ${changer(manager)}`;

/**
 * A reported drift lasts; it is recorded once and not at every look. Of one that is set back a record is there already
 * when a kill came between the record and the repair: what was changed before that is the same drift. Within one
 * second it may be another: told twice rather than never.
 */
export const isKnown = (record: DriftRecord, records: readonly DriftRecord[], changedAt?: string): boolean =>
  records.some(
    (old) =>
      old.action === record.action &&
      isAlike(old, record) &&
      (record.action === 'reported' ||
        (changedAt !== undefined && Date.parse(changedAt) + 1_000 <= Date.parse(old.detectedAt))),
  );

/** The same difference, whatever was done about it. */
export const isAlike = (a: DriftRecord, b: DriftRecord): boolean =>
  a.object === b.object && a.path === b.path && a.actual === b.actual && a.expected === b.expected;

/** Newest first, bounded in number and size. */
export function withDrift(records: readonly DriftRecord[], added: readonly DriftRecord[]): DriftRecord[] {
  let bytes = 0;
  return [...added.toReversed(), ...records].slice(0, MAX_RECORDS).filter((record, index) => {
    bytes += Buffer.byteLength(JSON.stringify(record));
    return index === 0 || bytes <= MAX_BYTES;
  });
}
