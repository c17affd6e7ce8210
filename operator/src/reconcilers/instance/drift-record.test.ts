import { expect, test } from 'vitest';
import { driftRecord } from './drift-record.ts';

const of = (kind: string, path: string) => {
  const finding = { kind, name: 'x', path, expected: 'ahoy', actual: 'mutiny', policy: 'correct' as const };
  const { expected, actual } = driftRecord(finding, undefined, {}, 'corrected', new Date()).record;
  return [expected, actual];
};

test.each(['/data/password', '/stringData/password', '/data'])(
  'what a Secret holds at %s is not recorded',
  (path) => {
    expect(of('Secret', path)).toEqual(['a secret value', 'another secret value']);
  },
);
test.each([
  ['Secret', '/metadata/labels/tier'],
  ['Secret', '/type'],
  ['Secret', ''],
  ['ConfigMap', '/data/password'],
])('of a %s is recorded what was at %j', (kind, path) => {
  expect(of(kind, path)).toEqual(['ahoy', 'mutiny']);
});
