import type { KubeObject } from '@felucca/contract';
import { pino } from 'pino';
import { expect, test } from 'vitest';
import { ManualClock } from './manual-clock.ts';
import { ObjectStore, type StoreEvent } from './store.ts';

interface Thing extends KubeObject {
  data: string;
}
const thing = (resourceVersion: string, data: string, uid = 'u1'): Thing => ({
  apiVersion: 'v1',
  kind: 'ConfigMap',
  metadata: { namespace: 'ns', name: 'a', uid, resourceVersion },
  data,
});

/** A synced store whose watch has told everything up to version 10. */
function synced(...objects: Thing[]) {
  const store = new ObjectStore<Thing>({ clock: new ManualClock(), log: pino({ level: 'silent' }) });
  for (const object of objects) store.put('ns/a', object, true);
  store.told('10');
  store.markSynced();
  const events: Pick<StoreEvent<Thing>, 'type' | 'own'>[] = [];
  store.onEvent(({ type, own }) => events.push({ type, own }));
  return { store, events, data: () => store.get('ns/a')?.data };
}

test('an own write is there before the watch tells it, and told once', () => {
  const { store, events, data } = synced(thing('9', 'old'));
  store.learn('ns/a', thing('12', 'ours'));
  expect(data()).toBe('ours');
  store.put('ns/a', thing('12', 'ours'), false);
  store.told('12');
  expect(events).toEqual([{ type: 'updated', own: true }]);
});

test('an event from before an own write does not take it back; one from after it does', () => {
  const { store, data } = synced(thing('9', 'old'));
  store.learn('ns/a', thing('12', 'ours'));
  store.put('ns/a', thing('11', 'theirs'), false);
  store.told('11');
  expect(data()).toBe('ours');
  store.put('ns/a', thing('13', 'later'), false);
  expect(data()).toBe('later');
});

test('an answer that comes after the watch has told more changes nothing', () => {
  const { store, events, data } = synced(thing('9', 'old'));
  store.put('ns/a', thing('13', 'later'), false);
  store.told('13');
  store.learn('ns/a', thing('12', 'ours'));
  expect(data()).toBe('later');
  store.remove('ns/a', false, thing('14', 'later'));
  store.told('14');
  // The object has come and gone before the answer was read: it must not stay for ever.
  store.learn('ns/a', thing('12', 'ours'));
  expect(data()).toBeUndefined();
  expect(events.map(({ type }) => type)).toEqual(['updated', 'deleted']);
});

test('what a list in the middle has shown already is not taken back by an older answer', () => {
  const { store, data } = synced(thing('9', 'old'));
  store.put('ns/a', thing('13', 'later'), false);
  store.learn('ns/a', thing('12', 'ours'));
  expect(data()).toBe('later');
});

test('the end of an older object of the name does not end ours', () => {
  const { store, data } = synced(thing('9', 'old', 'u1'));
  store.learn('ns/a', thing('12', 'ours', 'u2'));
  store.remove('ns/a', false, thing('11', 'old', 'u1'));
  expect(data()).toBe('ours');
  store.remove('ns/a', false, thing('13', 'ours', 'u2'));
  expect(data()).toBeUndefined();
});

test('a list from before an own write does not remove it; one from after it does', () => {
  const { store, data } = synced();
  store.learn('ns/a', thing('12', 'ours'));
  store.told('11');
  store.remove('ns/a', false);
  expect(data()).toBe('ours');
  store.told('12');
  store.remove('ns/a', false);
  expect(data()).toBeUndefined();
});

test('after a restore of etcd versions start anew, and what was learned counts for nothing', () => {
  const { store, data } = synced();
  store.learn('ns/a', thing('12', 'ours'));
  store.beginList();
  store.told('5');
  store.remove('ns/a', false);
  expect(data()).toBeUndefined();
  store.learn('ns/a', thing('6', 'again'));
  expect(data()).toBe('again');
});

test('what a list does not show of an own write is gone with the history that it was in', () => {
  const { store, data } = synced(thing('9', 'old'));
  store.learn('ns/a', thing('12', 'ours'));
  store.beginList();
  store.put('ns/a', thing('9', 'old'), false);
  // Of an etcd that was restored so that its versions begin far beyond all that were known.
  store.told('500');
  expect(data()).toBe('old');
});

test('an own write that was answered while a list was under way stays', () => {
  const { store, data } = synced(thing('9', 'old'));
  store.beginList();
  store.learn('ns/a', thing('12', 'ours'));
  store.put('ns/a', thing('9', 'old'), false);
  store.told('11');
  expect(data()).toBe('ours');
});

test('a version that has come a second time is told if it is another, and only then', () => {
  const { store, events, data } = synced(thing('9', 'old'));
  store.beginList();
  store.put('ns/a', thing('9', 'old'), false);
  expect(events).toEqual([]);
  store.put('ns/a', thing('9', 'other'), false);
  expect(events).toEqual([{ type: 'updated', own: false }]);
  expect(data()).toBe('other');
  store.told('15');
  expect(store.knows('ns/a', '9')).toBe(true);
});

test('nothing is learned before the first list is complete', () => {
  const store = new ObjectStore<Thing>({ clock: new ManualClock(), log: pino({ level: 'silent' }) });
  store.learn('ns/a', thing('12', 'ours'));
  expect(store.size).toBe(0);
});
