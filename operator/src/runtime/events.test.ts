import type { KubeObject } from '@felucca/contract';
import pino from 'pino';
import { expect, test } from 'vitest';
import { ApiError } from './api-error.ts';
import type { KubeClient } from './client.ts';
import { EventRecorder } from './events.ts';
import { ManualClock } from './manual-clock.ts';

const about: KubeObject = {
  apiVersion: 'felucca.dev/v1alpha1',
  kind: 'Instance',
  metadata: { name: 'db', namespace: 'tenant-acme', uid: 'u' },
};

/** A recorder over an API server that answers each Event as `create` says, and what it logged. */
function recorderOver(create: (event: KubeObject & { note: string }) => void | Promise<void>) {
  const clock = new ManualClock();
  const logged: { level: number; msg: string }[] = [];
  const log = pino({ level: 'debug' }, { write: (line: string) => void logged.push(JSON.parse(line)) });
  const client = {
    create: async (_gvr: unknown, _namespace: string, event: KubeObject & { note: string }) => create(event),
  } as unknown as KubeClient;
  const recorder = new EventRecorder({ client, log, clock, controller: 'c', instance: 'i', burst: 100 });
  const emit = (message: string) => recorder.emit(about, { type: 'Warning', reason: 'ChildFailed', message });
  const tell = async (message: string) => {
    emit(message);
    await recorder.flush();
  };
  const warnings = () => logged.filter(({ level }) => level >= 40).length;
  return { clock, recorder, emit, tell, warnings, logged };
}

test.each([
  ['fits', 'x'.repeat(1024), 'x'.repeat(1024)],
  ['is one byte too long', 'x'.repeat(1025), `${'x'.repeat(1021)}…`],
  ['has letters of two bytes', 'ö'.repeat(1024), `${'ö'.repeat(510)}…`],
  ['has characters of four bytes', '⛵️🚢'.repeat(200), `${'⛵️🚢'.repeat(102)}…`],
])('a note that %s is what the API server takes: 1,024 bytes, whole characters', async (_, said, sent) => {
  const notes: string[] = [];
  const { tell } = recorderOver(({ note }) => void notes.push(note));
  await tell(said);
  expect(notes).toEqual([sent]);
  expect(Buffer.byteLength(notes[0]!)).toBeLessThanOrEqual(1024);
});

test('a refused Event is a warning in the log, at most once a minute', async () => {
  const { clock, tell, warnings } = recorderOver(() => {
    throw new ApiError(422, 'Invalid', 'note: can have at most 1024 characters');
  });
  await tell('a');
  await tell('b');
  expect(warnings()).toBe(1);
  clock.advance(60_000);
  await tell('c');
  expect(warnings()).toBe(2);
});

test.each([0, 409, 429, 500])('an Event that fails with %i for now is none', async (status) => {
  const { tell, warnings } = recorderOver(() => {
    throw new ApiError(status, '', 'not now');
  });
  await tell('a');
  expect(warnings()).toBe(0);
});

test('who stops sends what is emitted, for as long as it was told and no longer', async () => {
  const notes: string[] = [];
  let answer: () => void = () => undefined;
  const { clock, recorder, emit, logged } = recorderOver(({ note }) => {
    notes.push(note);
    if (note === 'slow') return new Promise<void>((resolve) => (answer = resolve));
  });
  emit('a');
  await recorder.stop(2_000);
  for (const note of ['b', 'slow', 'c', 'd']) emit(note);
  let stopped = false;
  const stopping = recorder.stop(2_000).then(() => (stopped = true));
  await clock.advance(1_999);
  expect([stopped, notes]).toEqual([false, ['a', 'b', 'slow']]);
  await clock.advance(1);
  await stopping;
  answer();
  await recorder.flush();
  expect(notes).toEqual(['a', 'b', 'slow']);
  expect(logged).toContainEqual(expect.objectContaining({ unsent: 2 }));
});
