import { expect, test } from 'vitest';
import { commonKey, commonText, isOfCase } from './names.ts';

test.each([
  ['deployments.apps/tenant-z1q7x/main-web', 'deployments.apps/tenant-CASE/main-web'],
  ['pods/tenant-z1q7x/main-web-6d4b75cb6d-hv2ks', 'pods/tenant-CASE/main-web-*'],
  ['pods/tenant-z1q7x/main-once-hv2ks', 'pods/tenant-CASE/main-once-*'],
  ['pods/tenant-z1q7x/main-db-0', 'pods/tenant-CASE/main-db-0'],
  ['tenants.felucca.dev/z1q7x/status', 'tenants.felucca.dev/CASE/status'],
])('%s is known in every run as %s', (key, common) => {
  expect(commonKey(key, 'z1q7x')).toBe(common);
});

test('names of a longer case do not belong to a shorter one', () => {
  expect(isOfCase('tenants.felucca.dev/z1q77x', 'z1q7x')).toBe(false);
});

test('identities and times are told from what is the same in every run', () => {
  const text = 'z1q7x was 0a2e1bd4-31f5-4c0b-9d55-2a7f6b1c8e90 at 2026-11-26T08:31:16Z';
  expect(commonText(text, 'z1q7x')).toBe('CASE was UID at TIME');
});
