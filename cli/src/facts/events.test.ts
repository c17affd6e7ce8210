import type { InstanceObject, LiveObject } from '@felucca/contract';
import { expect, test } from 'vitest';
import { child, healthy } from '../why/facts-fixture.ts';
import { eventsOf, foldRepeats, lineOf } from './events.ts';

const { instance, children } = healthy((facts) => facts.children.push(child('db', 'StatefulSet')));
const event = (kind: string, name: string, more: object = {}): LiveObject => ({
  apiVersion: 'v1',
  kind: 'Event',
  metadata: { name: `${name}.1`, creationTimestamp: '2026-01-01T00:00:00Z' },
  involvedObject: { kind, name, uid: `other-${name}` },
  ...more,
});
const kept = (of: InstanceObject, ...events: LiveObject[]) => eventsOf(events, of, children).length;

test.each([
  ['the Instance', event('Instance', 'db', { involvedObject: { kind: 'Instance', name: 'db', uid: 'i' } })],
  ['a child', event('Deployment', 'db-web')],
  ['what its controller made', event('ReplicaSet', 'db-web-7d9c5b8f6')],
  ['a pod that is gone', event('Pod', 'db-web-7d9c5b8f6-abcde')],
  ['a volume claim', event('PersistentVolumeClaim', 'data-db-db-0')],
])('an event is about an Instance when it is about %s', (_, about) => {
  expect(kept(instance, about)).toBe(1);
});

test.each([
  ['a namesake of before', event('Instance', 'db')],
  ['an Instance whose name begins the same', event('Pod', 'db-webshop-1')],
  ['another volume claim', event('PersistentVolumeClaim', 'data-db-web2-0')],
])('it is not when it is about %s', (_, about) => {
  expect(kept(instance, about)).toBe(0);
});

test('what is said again under another generated name is one line, the newest, with a count', () => {
  const said = (name: string, at: string): LiveObject =>
    event('ReplicaSet', 'db-web-1', {
      type: 'Warning',
      reason: 'FailedCreate',
      message: `pods "${name}" is forbidden`,
      lastTimestamp: at,
      count: 2,
    });
  const lines = [said('a', '2026-01-01T00:00:01Z'), said('b', '2026-01-01T00:00:02Z')].map(lineOf);
  expect(foldRepeats(lines)).toMatchObject([{ count: 4, message: 'pods "b" is forbidden' }]);
});

test('of what happened within one second, what was written first comes first', () => {
  const said = (message: string, resourceVersion: string): LiveObject => ({
    ...event('Pod', 'db-db-0', { message, lastTimestamp: '2026-01-01T00:00:00Z' }),
    metadata: { name: message, resourceVersion },
  });
  const events = [said('it is not started', '1002'), said('no image', '999')];
  expect(eventsOf(events, instance, children).map((item) => item.message)).toEqual([
    'no image',
    'it is not started',
  ]);
});
