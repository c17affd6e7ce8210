import type { Report, SignedOutputKey } from '@felucca/contract';
import { pino } from 'pino';
import { Registry } from 'prom-client';
import { expect, test } from 'vitest';
import type { ApiClient } from '../sync/api-client.ts';
import { SyncMetrics } from '../sync/sync-metrics.ts';
import { Reporter } from './reporter.ts';

const OUTPUT_KEY = { key: 'x'.repeat(43), kid: 'k', sig: 's' };

/** A reporter before a control plane that accepts everything, of this version or of one before it. */
function stage() {
  const keys: (string | undefined)[] = [];
  const outputKeys: SignedOutputKey[] = [];
  const state = { isOld: true };
  const api = {
    postJson: async (_: string, body: string) => {
      const { seq, sealingKey } = JSON.parse(body) as Report;
      keys.push(sealingKey);
      const reply = { seq, accepted: 0, rejected: [], ...(state.isOld ? {} : { outputKey: OUTPUT_KEY }) };
      return { status: 200, retryAfter: undefined, body: reply };
    },
  } as unknown as ApiClient;
  const reporter = new Reporter({
    api,
    authorize: async () => '',
    dataPlaneId: 'dp',
    term: () => 1,
    random: () => 0,
    date: () => new Date(),
    metrics: new SyncMetrics(new Registry()),
    log: pino({ level: 'silent' }),
    onSessionRefused: () => {},
    onOutputKey: (key) => outputKeys.push(key),
    coalesceMs: 0,
  });
  const session = async (id: string, cursor: string): Promise<void> => {
    const before = keys.length;
    reporter.sessionStarted(id, 'epoch');
    reporter.acknowledge(cursor, '');
    while (keys.length === before || reporter.backlog > 0)
      await new Promise((resolve) => setTimeout(resolve, 1));
  };
  return { reporter, keys, outputKeys, state, session };
}

test('the sealing key is told in each session until a control plane understands it, and then no more', async () => {
  const { reporter, keys, outputKeys, state, session } = stage();
  reporter.tellSealingKey('key');
  await session('s1', '1');
  await session('s2', '2');
  expect(outputKeys).toEqual([]);
  state.isOld = false;
  await session('s3', '3');
  await session('s4', '4');
  expect(keys).toEqual(['key', 'key', 'key', undefined]);
  expect(outputKeys).toContainEqual(OUTPUT_KEY);
  await reporter.stop(100);
});
