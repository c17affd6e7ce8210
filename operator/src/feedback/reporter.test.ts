import type { Report, SignedOutputKey } from '@felucca/contract';
import { pino } from 'pino';
import { Registry } from 'prom-client';
import { expect, test, vi } from 'vitest';
import type { ApiClient } from '../sync/api-client.ts';
import { SyncMetrics } from '../sync/sync-metrics.ts';
import { Reporter } from './reporter.ts';

const OUTPUT_KEY = { key: 'x'.repeat(43), kid: 'k', sig: 's' };

/** A reporter before a control plane that accepts everything, of this version or of one before it. */
function stage() {
  const keys: (string | undefined)[] = [];
  const reports: Report[] = [];
  const outputKeys: SignedOutputKey[] = [];
  const state = { isOld: true, beforeAnswer: (): unknown => undefined };
  const api = {
    postJson: async (_: string, body: string) => {
      const report = JSON.parse(body) as Report;
      const { seq, sealingKey } = report;
      reports.push(report);
      keys.push(sealingKey);
      await state.beforeAnswer();
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
    onNacksRejected: () => {},
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
  return { reporter, keys, reports, outputKeys, state, session };
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

test('what was accepted under an epoch that ended before the answer came is told under the new one', async () => {
  const { reporter, reports, state } = stage();
  const item = { kind: 'Instance', key: 'acme/a', id: 'a', generation: 1 } as const;
  const alive = { ...item, local: false, digest: '', conditions: [] };
  state.beforeAnswer = () => {
    state.beforeAnswer = () => undefined;
    reporter.sessionStarted('s2', 'e2');
    reporter.status(alive);
  };
  reporter.sessionStarted('s1', 'e1');
  reporter.status(alive);
  reporter.deleted({ ...item, key: 'acme/b', id: 'b', rev: '7' });
  await vi.waitUntil(() => reporter.oldestUnreportedEnd() === undefined);
  expect(reports.map(({ epoch, status }) => [epoch, ...status.map(({ key }) => key)])).toEqual([
    ['e1', 'acme/a', 'acme/b'],
    ['e2', 'acme/a', 'acme/b'],
  ]);
  await reporter.stop(100);
});
