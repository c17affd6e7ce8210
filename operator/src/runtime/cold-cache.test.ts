import { pino } from 'pino';
import { describe, expect, test } from 'vitest';
import { ApiError } from './api-error.ts';
import { coldBecause, coldCaches, staleBecause, whenWarm } from './cold-cache.ts';
import { ManualClock } from './manual-clock.ts';
import { GVR } from './resources.ts';

describe('a cache that is not warm says what, why and what to do', () => {
  test.each([
    ['nothing known', undefined, /^CronJob not listed yet$/],
    [
      'forbidden',
      new ApiError(403, 'Forbidden', 'no'),
      /not listed yet: no; let .*ClusterRole.*watch cronjobs of batch\/v1/,
    ],
    ['not served', new ApiError(404, 'NotFound', '404'), /knows no cronjobs in batch\/v1; install/],
    [
      'no answer',
      new ApiError(0, 'NoAnswer', 'the API server did not answer'),
      /yet: the API server did not/,
    ],
  ])('%s', (_, error, text) => expect(coldBecause(GVR.CronJob, error)).toMatch(text));
});

test('a cache that is stale says for how long, and why nothing comes', () => {
  expect(staleBecause(GVR.Pod, 312_400, undefined)).toBe('Pod not heard of for 312 s: its watch is silent');
  expect(staleBecause(GVR.Pod, 312_400, new ApiError(403, 'Forbidden', 'no'))).toMatch(/312 s: no$/);
});

test('of many cold caches the first are shown, and how many more there are', () => {
  const caches = ['A', undefined, 'B', 'C', 'D', 'E'].map((coldBecause) => ({ coldBecause }));
  expect(coldCaches(caches)).toBe('A; B; C; and 2 more');
  expect(coldCaches([{ coldBecause: undefined }])).toBeUndefined();
});

test('the wait for warm caches says every two minutes what is missing, until they are warm', async () => {
  const said: string[] = [];
  const log = pino({ base: null }, { write: (line: string) => void said.push(JSON.parse(line).msg) });
  const clock = new ManualClock();
  const synced = Promise.withResolvers<void>();
  const signal = new AbortController().signal;
  const warm = whenWarm(synced.promise, [{ coldBecause: 'CronJob not listed yet' }], { log, signal, clock });
  await clock.advance(250_000);
  expect(said).toEqual(Array(2).fill('still waiting: CronJob not listed yet'));
  synced.resolve();
  await warm;
  await clock.advance(250_000);
  expect(said).toHaveLength(2);
});
