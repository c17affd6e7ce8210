import type { StatusItem } from '@felucca/contract';
import { describe, expect, it } from 'vitest';
import type { Batch } from './pending.ts';
import { MAX_TOLD, RefusedItems, unwantedOf } from './refused-items.ts';

const status = (key: string, over: Partial<StatusItem> = {}): StatusItem => ({
  kind: 'Tenant',
  key,
  id: key,
  local: true,
  generation: 1,
  digest: '',
  observedSeq: 1,
  conditions: [],
  ...over,
});
const batch = (over: Partial<Batch> = {}): Batch => ({
  status: [status('beta')],
  nacks: [],
  drift: [],
  unknown: [],
  ...over,
});
const refusal = (key: string, reason = 'there is no organization "beta"') => ({
  kind: 'Tenant',
  key,
  reason,
});

describe('a refusal', () => {
  it('is told once, and again when it has another reason or the object had been taken', () => {
    const refused = new RefusedItems();
    const tell = (...rejected: ReturnType<typeof refusal>[]) => refused.newsOf(batch(), rejected).length;
    expect(tell(refusal('beta'))).toBe(1);
    expect(tell(refusal('beta'))).toBe(0);
    expect(tell(refusal('beta', 'another reason'))).toBe(1);
    expect(tell()).toBe(0);
    expect(tell(refusal('beta'))).toBe(1);
  });

  it('is remembered of a bounded number of objects', () => {
    const refused = new RefusedItems();
    const rejected = Array.from({ length: MAX_TOLD + 5 }, (_, at) => refusal(`org-${at}`));
    expect(refused.newsOf(batch({ status: [] }), rejected)).toHaveLength(MAX_TOLD + 5);
    expect(refused.newsOf(batch({ status: [] }), rejected)).toHaveLength(5);
  });

  it('sets a local object aside, not one of the control plane', () => {
    const isUnwanted = unwantedOf(batch(), [refusal('beta')]);
    expect(isUnwanted(status('beta'))).toBe(true);
    expect(isUnwanted(status('beta', { local: false }))).toBe(false);
    expect(isUnwanted(status('acme'))).toBe(false);
  });

  it('that may be about the NACK beside it sets nothing aside', () => {
    const nack = { rev: '1', hash: '', code: 'NameConflict', message: '', retryable: true };
    const both = batch({ nacks: [{ kind: 'Tenant', key: 'beta', ...nack }] });
    expect(unwantedOf(both, [refusal('beta')])(status('beta'))).toBe(false);
  });
});
