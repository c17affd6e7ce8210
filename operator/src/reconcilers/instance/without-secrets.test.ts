import { expect, test } from 'vitest';
import { ApiError } from '../../runtime/api-error.ts';
import { ClusterError } from '../cluster.ts';
import { isImmutableRefusal } from './immutable-refusal.ts';
import { withoutSecrets } from './without-secrets.ts';

const CANARY = 'canary-of-the-test';
const encoded = Buffer.from(CANARY).toString('base64');
const object = (kind: string) => ({
  apiVersion: 'v1',
  kind,
  metadata: { name: 'a' },
  data: { key: encoded, no: 'bm8=' },
});
const refusal = (said: string) => {
  const cause = new ApiError(422, 'Invalid', said, {
    causes: [`Invalid value: ${said}: field is immutable when`],
  });
  return new ClusterError(422, said, cause);
};

test.each([CANARY, encoded])('what the API server says of a Secret does not quote it: %s', (value) => {
  const told = withoutSecrets(refusal(`no, "${value}" is not good`), object('Secret'));
  expect(told.message).toBe('no, "(removed)" is not good');
  expect(JSON.stringify([told.causes, told.cause, (told.cause as Error).message, told.stack])).not.toContain(
    value,
  );
  // What is decided by its words stays decided.
  expect(isImmutableRefusal(told)).toBe(true);
});

test('of anything else, and of a Secret without its values, it stays as it is', () => {
  const error = refusal(`no, ${CANARY}`);
  expect(withoutSecrets(error, object('ConfigMap'))).toBe(error);
  const quota = refusal('no quota');
  expect(withoutSecrets(quota, object('Secret'))).toBe(quota);
});
