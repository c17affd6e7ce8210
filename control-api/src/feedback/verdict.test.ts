import type { StatusItem } from '@felucca/contract';
import { expect, test } from 'vitest';
import { judge, type Known } from './verdict.ts';

const ITEM: StatusItem = {
  kind: 'Instance',
  key: 'acme/db',
  id: 'id-1',
  local: false,
  generation: 2,
  observedSeq: 1,
  digest: '',
  conditions: [],
};
const END: StatusItem = { ...ITEM, deleted: true };
const LOCAL: StatusItem = { ...ITEM, local: true };

const NOTHING: Known = {
  desired_tenant: null,
  desired_generation: null,
  observed_tenant: null,
  observed_local: null,
  organization: null,
  sensitive: null,
};
const ORDERED: Known = { ...NOTHING, desired_tenant: 'tenant', desired_generation: '2' };
const COMPACTED: Known = { ...NOTHING, observed_tenant: 'tenant', observed_local: false };

test.each<[string, StatusItem, Known | undefined, string]>([
  ['news of what is ordered is taken', ITEM, ORDERED, 'tenant'],
  ['the end of what is ordered is taken', END, ORDERED, 'tenant'],
  ['news of an older generation is taken', { ...ITEM, generation: 1 }, ORDERED, 'tenant'],
  ['a generation that nobody ordered is not', { ...ITEM, generation: 3 }, ORDERED, 'was never asked for'],
  ['nor is the end under one', { ...END, generation: 3 }, ORDERED, 'was never asked for'],
  ['of what nobody knows nothing is taken', ITEM, undefined, 'no row with this id'],
  ['nor its end', END, NOTHING, 'no row with this id'],
  ['what left the feed may still end', END, COMPACTED, 'tenant'],
  ['and nothing else', ITEM, COMPACTED, 'no longer in the feed'],
  ['a local object is its organization’s', LOCAL, { ...NOTHING, organization: 'tenant' }, 'tenant'],
  ['without one it is nobody’s', LOCAL, NOTHING, 'there is no organization "acme"'],
  ['what the feed has is not local', LOCAL, { ...ORDERED, organization: 'tenant' }, 'is not local'],
  ['nor what it had', LOCAL, { ...COMPACTED, organization: 'tenant' }, 'is not local'],
  [
    'a sensitive output in the clear is not taken',
    { ...ITEM, outputs: { password: { value: 'secret' } } },
    { ...ORDERED, sensitive: ['password'] },
    'is sensitive',
  ],
])('%s', (_, item, known, expected) => {
  const verdict = judge(item, known);
  expect('reason' in verdict ? verdict.reason : verdict.tenantId).toContain(expected);
});
