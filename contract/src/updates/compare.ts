import { isRecord, ownValue, pointer } from '../blueprint/problem.ts';
import { canonicalJson } from '../canonical.ts';
import { isSame, ownedDifferences } from '../children/owned-fields.ts';
import type { Compare, FieldChange } from './fixed-fields.ts';

/**
 * A live object with what is wanted. A field that is no longer wanted is not told from a default of the API
 * server, which decides about it.
 */
export const liveWithDesired: Compare = (live, desired, base) =>
  desired === undefined ? [] : ownedDifferences(desired, live, base);

/** Two renderings of a template: each field counts, also one that is gone. */
export const twoRenderings: Compare = (before, after, base) => {
  const changes: FieldChange[] = [];
  const visit = (old: unknown, wanted: unknown, path: string): void => {
    if (isSame(wanted, old, path) || isSame(old, wanted, path)) return;
    if (canonicalJson(old ?? null) === canonicalJson(wanted ?? null)) return;
    if (isRecord(old) && isRecord(wanted)) {
      for (const key of new Set([...Object.keys(old), ...Object.keys(wanted)]))
        visit(ownValue(old, key), ownValue(wanted, key), pointer(path, key));
    } else if (Array.isArray(old) && Array.isArray(wanted) && old.length === wanted.length) {
      for (const [index, item] of wanted.entries()) visit(old[index], item, pointer(path, index));
    } else changes.push({ path });
  };
  visit(before, after, base);
  return changes;
};
