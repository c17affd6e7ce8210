import { OPENAPI_PATHS } from '@felucca/contract';
import { expect, test } from 'vitest';
import { ClusterError } from '../cluster.ts';
import { ClusterTypes } from './cluster-types.ts';

test('the types of a cluster are read once an hour, and asked for again after a failure', async () => {
  let asked = 0;
  let error: Error | undefined = new ClusterError(503, 'not now');
  let nowMs = 0;
  const types = new ClusterTypes(
    {
      openApi: () => {
        asked += 1;
        return error ? Promise.reject(error) : Promise.resolve({});
      },
    },
    () => nowMs,
  );
  expect(await types.get()).toBeUndefined();
  expect(asked).toBe(1);
  error = undefined;
  expect(await Promise.all([types.get(), types.get()])).toEqual(Array(2).fill({ kinds: {}, types: {} }));
  expect(asked).toBe(1 + OPENAPI_PATHS.length);
  nowMs = 3_600_001;
  await types.get();
  expect(asked).toBe(1 + 2 * OPENAPI_PATHS.length);
  error = new TypeError('a mistake of ours');
  nowMs *= 3;
  await expect(types.get()).rejects.toThrow('a mistake of ours');
});
