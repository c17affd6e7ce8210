import { readFileSync } from 'node:fs';
import { formatDigest, frameSchema, joinReplySchema, type Op, rowDigest } from '@felucca/contract';
import { expect, test } from 'vitest';
import { initialFeed } from './feed-state.ts';
import { stepFeed } from './feed-transitions.ts';
import { TrustedKeys } from './verify.ts';

const recording = new URL('../../../contract/recorded/proto-1.ndjson', import.meta.url);
const conversation = readFileSync(recording, 'utf8')
  .trimEnd()
  .split('\n')
  .map((line): { what: string; body: Record<string, unknown> } => JSON.parse(line));
const { dataPlaneId, signingKeys } = joinReplySchema.parse(
  conversation.find(({ what }) => what === 'joinReply')?.body,
);
const frames = conversation.flatMap(({ what, body }) => (what === 'frame' ? [frameSchema.parse(body)] : []));

// Invariant L33.
test('rows that version 1 signed are trusted, and its digests are those of its rows', () => {
  const trust = new TrustedKeys(signingKeys);
  const rows = new Map<string, Op>();
  let compared = 0;
  for (const frame of frames) {
    if (frame.type === 'delta' || frame.type === 'snapshot')
      for (const op of frame.ops) {
        expect(trust.verify(op, dataPlaneId)).toEqual({ ok: true });
        rows.set(`${op.kind} ${op.key}`, op);
      }
    if (frame.type !== 'bookmark') continue;
    const live = [...rows.values()].flatMap((op) => (op.op === 'put' ? [op] : []));
    const digest = live.reduce((sum, op) => sum ^ rowDigest(op), 0n);
    expect([formatDigest(digest), live.length]).toEqual([frame.digest, frame.count]);
    compared += 1;
  }
  expect(compared).toBe(3);
});

// Invariant L33.
test('an operator follows what a control plane of version 1 said, to its last cursor', () => {
  let state = initialFeed(dataPlaneId, '', '0');
  for (const { what, body } of conversation) {
    if (what === 'query') {
      // Its connection was cut, or never there.
      state = stepFeed(state, { type: 'closed', why: 'network' }).state;
      state = stepFeed(state, { type: state.phase === 'stopped' ? 'start' : 'retryDue' }).state;
      const { epoch, cursor } = state.memory;
      expect({ epoch, cursor }).toEqual({ epoch: body['epoch'], cursor: body['cursor'] });
    } else if (what === 'frame') state = stepFeed(state, frameSchema.parse(body)).state;
  }
  expect(state.phase).toBe('connecting');
  expect(state.memory.cursor).toBe('7');
});
