import { expect, test } from 'vitest';
import { ApiError, apiErrorOf } from '../../runtime/api-error.ts';
import { ClusterError } from '../cluster.ts';
import { isImmutableRefusal } from './immutable-refusal.ts';

const refused = (...causes: string[]): ClusterError =>
  new ClusterError(422, '', new ApiError(422, 'Invalid', '', { causes }));

test.each([
  'Invalid value: {"matchLabels":{"app":"b: c"}}: field is immutable',
  'Forbidden: field is immutable when `immutable` is set',
  'Invalid value: []string(nil): may not change once set',
  "Forbidden: updates to statefulset spec for fields other than 'replicas', 'template' are forbidden",
  'Forbidden: spec is immutable after creation except resources.requests\n  core.PersistentVolumeClaimSpec{\n- a\n+ b',
])('%s: the field cannot change', (cause) => {
  expect(isImmutableRefusal(refused('Required value', cause))).toBe(true);
});

test.each([
  'Invalid value: "my: field is immutable!": a lowercase RFC 1123 label must consist of lower case characters',
  'Invalid value: "field is immutable": must be no more than 63 characters',
  'Required value: must specify a value',
])('%s: the value is wrong', (cause) => {
  expect(isImmutableRefusal(refused(cause))).toBe(false);
});

test('the name of an object says nothing about its fields', () => {
  const body = JSON.stringify({
    reason: 'Invalid',
    message: 'ConfigMap "my-immutable-store" is invalid: data[a b]: Invalid value: "a b": no key',
    details: { name: 'my-immutable-store', causes: [{ message: 'Invalid value: "a b": no key' }] },
  });
  const error = apiErrorOf(422, 'patch configmaps', body);
  expect(isImmutableRefusal(new ClusterError(422, error.message, error))).toBe(false);
});
