import { describe, expect, test } from 'vitest';
import type { z } from 'zod';
import { frameSchema, syncQuerySchema } from './feed.ts';
import { reportReplySchema, reportSchema } from './feedback.ts';
import { joinReplySchema, joinRequestSchema } from './link.ts';

const row = {
  kind: 'Instance',
  key: 'acme/db',
  rev: '9007199254740993',
  id: 'i1',
  generation: 2,
  kid: 'k',
  sig: 's',
};
const put = { op: 'put', ...row, hash: `sha256:${'0'.repeat(64)}`, spec: {} };
const del = { op: 'del', ...row };
const item = { kind: 'Instance', key: 'acme/db', id: 'i1' };

/** What one side sends, one of each. */
const SENT: Record<string, [z.ZodType, object]> = {
  hello: [
    frameSchema,
    {
      type: 'hello',
      proto: 1,
      session: 's',
      dataPlaneId: 'd',
      epoch: 'e',
      head: '2',
      digest: '0',
      compacted: '0',
      mode: 'reset',
      reason: 'NEW',
      heartbeatSeconds: 15,
      maxAgeSeconds: 300,
    },
  ],
  delta: [frameSchema, { type: 'delta', from: '0', to: '2', complete: true, ops: [put, del] }],
  snapshot: [frameSchema, { type: 'snapshot', at: '2', page: 1, last: true, ops: [put, del] }],
  bookmark: [frameSchema, { type: 'bookmark', cursor: '2', digest: '0', count: 1 }],
  drain: [frameSchema, { type: 'drain', reason: 'shutdown', retryMinMs: 0, retryMaxMs: 1 }],
  error: [frameSchema, { type: 'error', code: 'REVOKED', message: 'm', retryable: false }],
  query: [
    syncQuerySchema,
    { proto: 1, epoch: 'e', cursor: '2', digest: '0', count: 1, instance: 'o', term: 1, wait: 25 },
  ],
  report: [
    reportSchema,
    {
      proto: 1,
      session: 's',
      epoch: 'e',
      seq: 1,
      term: 1,
      ack: { cursor: '2', digest: '0' },
      nacks: [{ ...item, rev: '2', hash: '', code: 'c', message: 'm', retryable: true }],
      status: [
        {
          ...item,
          local: false,
          generation: 1,
          digest: '',
          observedSeq: 1,
          conditions: [{ type: 'Ready', status: 'True', reason: 'r', message: '', lastTransitionTime: 't' }],
        },
      ],
      drift: [
        {
          ...item,
          object: 'o',
          path: '',
          expected: '',
          actual: '',
          manager: '',
          detectedAt: 't',
          action: 'corrected',
        },
      ],
      unknown: [item],
    },
  ],
  'answer to a report': [
    reportReplySchema,
    { seq: 1, accepted: 0, rejected: [{ kind: 'Instance', key: 'k', reason: 'r' }] },
  ],
  join: [joinRequestSchema, { token: 't', publicKey: 'x'.repeat(43), instance: 'o', operatorVersion: '1' }],
  'answer to a join': [
    joinReplySchema,
    { dataPlaneId: 'd', dataPlaneName: 'n', keyId: 'k', signingKeys: { k: 'x' } },
  ],
};

/** With a field more in each object, as a newer peer may send it. Free-form ones hold what their owner put there. */
function withMore(value: unknown, path = ''): unknown {
  if (Array.isArray(value)) return value.map((one) => withMore(one, path));
  if (typeof value !== 'object' || value === null || /(spec|signingKeys)$/.test(path)) return value;
  const entries = Object.entries(value).map(([name, one]) => [name, withMore(one, `${path}/${name}`)]);
  return { ...Object.fromEntries(entries), addedLater: { deep: [1] } };
}

// Invariant L33.
describe('within a version of the link', () => {
  test.each(Object.entries(SENT))(
    'a %s is read as before when its sender has learnt more fields',
    (_, [schema, sent]) => {
      const read = schema.parse(sent);
      expect(schema.parse(withMore(sent))).toEqual(read);
    },
  );

  test.each([
    ['hello', { reason: 'SOMETHING_NEW' }, { mode: 'reset', reason: undefined }],
    ['drain', { reason: 'moon' }, { reason: 'rotate', retryMaxMs: 1 }],
    ['error', { code: 'SOMETHING_NEW' }, { code: 'INTERNAL', retryable: false }],
  ])('a reason of a %s that is not known yet changes nothing in what is done', (name, change, read) => {
    const [schema, sent] = SENT[name]!;
    expect(schema.parse({ ...sent, ...change })).toMatchObject(read);
  });
});
