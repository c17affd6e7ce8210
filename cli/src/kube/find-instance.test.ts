import { expect, test } from 'vitest';
import { parseInstanceName } from './find-instance.ts';

test.each([
  ['db', { name: 'db' }],
  ['instance/db', { name: 'db' }],
  ['tenant-acme/db', { namespace: 'tenant-acme', name: 'db' }],
])('%s is the name of an Instance', (text, name) => {
  expect(parseInstanceName(text)).toEqual(name);
});

test.each(['pod/x', 'Pods/x', 'deployments.apps/x'])('%s is none, and why is said', (text) => {
  expect(() => parseInstanceName(text)).toThrow(/is no Instance/);
});
