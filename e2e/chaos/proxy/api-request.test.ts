import { expect, test } from 'vitest';
import { describeRequest, isWrite } from './api-request.ts';

const apply = { 'content-type': 'application/apply-patch+yaml' };
const merge = { 'content-type': 'application/merge-patch+json' };
const event = JSON.stringify({ metadata: { name: 'e1' } });

test.each([
  ['GET', '/api/v1/namespaces/a/secrets/s', {}, '', 'get', 'secrets/a/s'],
  ['GET', '/api/v1/namespaces/a', {}, '', 'get', 'namespaces/a'],
  ['GET', '/apis/apps/v1/deployments?labelSelector=x', {}, '', 'list', 'deployments.apps'],
  ['GET', '/apis/apps/v1/deployments?watch=true&resourceVersion=5', {}, '', 'watch', 'deployments.apps'],
  ['PATCH', '/apis/apps/v1/namespaces/a/deployments/d', apply, '{}', 'apply', 'deployments.apps/a/d'],
  ['PATCH', '/apis/apps/v1/namespaces/a/deployments/d', merge, '{}', 'patch', 'deployments.apps/a/d'],
  ['PATCH', '/apis/x.dev/v1/namespaces/a/things/t/status', apply, '{}', 'apply', 'things.x.dev/a/t/status'],
  ['PATCH', '/api/v1/namespaces/a/status', merge, '{}', 'patch', 'namespaces/a/status'],
  ['PUT', '/apis/x.dev/v1/things/t', {}, '{}', 'update', 'things.x.dev/t'],
  ['POST', '/api/v1/namespaces/a/events', {}, event, 'create', 'events/a/e1'],
  ['POST', '/api/v1/namespaces/a/events', {}, 'no json', 'create', 'events/a'],
  ['DELETE', '/api/v1/namespaces/a/services/s', {}, '', 'delete', 'services/a/s'],
  ['GET', '/readyz?verbose', {}, '', 'other', 'readyz'],
] as const)('%s %s is understood', (method, path, headers, body, verb, key) => {
  const request = describeRequest(method, path, headers, Buffer.from(body));
  expect(request).toMatchObject({ verb, key });
  expect(isWrite(request)).toBe(method !== 'GET');
});
