import type { KubeObject } from '@felucca/contract';
import { expect, test } from 'vitest';
import { KubeClient } from './client.ts';
import { FencedTransport, highestTerm, showsTermOf } from './fenced-transport.ts';
import { GVR } from './resources.ts';
import type { KubeRequest, Transport } from './transport.ts';

/** What arrives at the API server of a leader whose Lease is good for so many questions. */
function leader(goodFor = Number.POSITIVE_INFINITY) {
  const sent: KubeRequest[] = [];
  let asked = 0;
  const fence = {
    stamp: () => {
      asked += 1;
      if (asked > goodFor) throw new Error('the Lease is uncertain');
      return 'operator/7';
    },
  };
  const inner = {
    request: async (request: KubeRequest) => {
      request.beforeSend?.();
      sent.push(request);
      return { status: 200, headers: {}, body: Buffer.from('{}') };
    },
  } as unknown as Transport;
  return { sent, transport: new FencedTransport(inner, fence) };
}
const term = { 'felucca.dev/term': 'operator/7' };

test('a write carries the term in its annotations, beside those that it had', async () => {
  const { sent, transport } = leader();
  const body = { kind: 'Tenant', metadata: { name: 'a', annotations: { note: 'x' } } };
  await transport.request({ method: 'PATCH', path: '/a', body });
  await transport.request({ method: 'POST', path: '/a', body: { kind: 'Tenant' } });
  expect(sent.map((request) => request.body)).toEqual([
    { kind: 'Tenant', metadata: { name: 'a', annotations: { note: 'x', ...term } } },
    { kind: 'Tenant', metadata: { annotations: term } },
  ]);
  expect(body.metadata.annotations).toEqual({ note: 'x' });
});

test('a status carries it inside, a JSON patch as one more step, a deletion not at all', async () => {
  const { sent, transport } = leader();
  const status = { subresource: 'status', body: { status: { size: 1 } } };
  await transport.request({ method: 'PATCH', path: '/a/status?force=true', ...status });
  await transport.request({ method: 'PATCH', path: '/a', body: [{ op: 'remove', path: '/spec/x' }] });
  await transport.request({ method: 'DELETE', path: '/a', body: { kind: 'DeleteOptions' } });
  expect(sent.map((request) => request.body)).toEqual([
    { status: { size: 1, term: 'operator/7' } },
    [
      { op: 'remove', path: '/spec/x' },
      { op: 'add', path: '/metadata/annotations/felucca.dev~1term', value: 'operator/7' },
    ],
    { kind: 'DeleteOptions' },
  ]);
});

test('what is called status is an object like any other, and has a status of its own', async () => {
  const { sent, transport } = leader();
  const client = new KubeClient(transport);
  const object: KubeObject = {
    apiVersion: 'felucca.dev/v1alpha1',
    kind: 'Instance',
    metadata: { name: 'status' },
  };
  const options = { fieldManager: 'test' };
  await client.apply(GVR.Instance, 'acme', 'status', object, options);
  await client.patch(GVR.Instance, 'acme', 'status', { metadata: {} });
  await client.applyStatus(GVR.Instance, 'acme', 'status', object, options);
  await client.patchStatus(GVR.Instance, 'acme', 'status', { status: {} });
  expect(sent.map(({ path, body }) => [path.split('/instances')[1], body])).toEqual([
    ['/status', { ...object, metadata: { name: 'status', annotations: term } }],
    ['/status', { metadata: { annotations: term } }],
    ['/status/status', { ...object, status: { term: 'operator/7' } }],
    ['/status/status', { status: { term: 'operator/7' } }],
  ]);
});

test('once the Lease is uncertain no write leaves, not even a repeated attempt, and reads do', async () => {
  for (const goodFor of [0, 1]) {
    const { sent, transport } = leader(goodFor);
    await expect(transport.request({ method: 'DELETE', path: '/a' })).rejects.toThrow('uncertain');
    await transport.request({ method: 'GET', path: '/a' });
    expect(sent.map((request) => request.method)).toEqual(['GET']);
  }
});

test('a write without a body could not be told from a stale one, so it is a mistake', async () => {
  const { transport } = leader();
  await expect(transport.request({ method: 'POST', path: '/a' })).rejects.toThrow('needs a body');
});

test('the highest term is found in annotations and in status, of whichever Lease', () => {
  const object = (stamp: unknown, status: unknown) => ({
    apiVersion: 'v1',
    kind: 'Tenant',
    metadata: { name: 'a', annotations: { 'felucca.dev/term': String(stamp) } },
    status,
  });
  expect(highestTerm([])).toBe(0);
  const objects = [object('a/3', { term: 'b/12' }), object('c/9', {}), object('nonsense', 7)];
  expect(highestTerm(objects)).toBe(12);
  expect(['a', 'b', 'c', 'nonsense', 'd'].filter((lease) => showsTermOf(lease, objects))).toEqual([
    'a',
    'b',
    'c',
  ]);
});
