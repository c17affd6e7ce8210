import type { InstanceObject } from '@felucca/contract';
import { expect, test } from 'vitest';
import { isInProgress } from './in-progress.ts';

const instance = (status: object | undefined, metadata: object = {}): InstanceObject =>
  ({
    apiVersion: 'felucca.dev/v1alpha1',
    kind: 'Instance',
    metadata: { name: 'site', generation: 2, ...metadata },
    ...(status ? { status: { observedGeneration: 2, ...status } } : {}),
  }) as InstanceObject;
const ready = (status: string, reason: string) => ({ conditions: [{ type: 'Ready', status, reason }] });

test.each([
  ['one without a status', instance(undefined)],
  ['one whose children come up', instance(ready('False', 'ChildrenProgressing'))],
  [
    'one that was ready, and is being updated',
    instance({ ...ready('True', 'Ready'), observedGeneration: 1 }),
  ],
  [
    'one that was ready, and is being deleted',
    instance(ready('True', 'Ready'), { deletionTimestamp: 'now' }),
  ],
])('%s is in progress', (_, object) => {
  expect(isInProgress(object)).toBe(true);
});

test.each([
  ['one that is ready', instance(ready('True', 'Ready'))],
  ['one that failed', instance(ready('False', 'ApplyRejected'))],
])('%s is not', (_, object) => {
  expect(isInProgress(object)).toBe(false);
});
