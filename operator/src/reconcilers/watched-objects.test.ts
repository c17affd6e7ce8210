import { API_VERSION, type InstanceObject, LABELS, type LiveObject, stuckObject } from '@felucca/contract';
import { pino } from 'pino';
import { describe, expect, test } from 'vitest';
import { systemClock } from '../runtime/clock.ts';
import type { ReflectorOptions } from '../runtime/reflector.ts';
import { ObjectStore } from '../runtime/store.ts';
import { type CreateReflector, podStatusOnly, WatchedObjects } from './watched-objects.ts';

describe('an event names its Instance', () => {
  const log = pino({ level: 'silent' });
  const child = (
    labels: Record<string, string>,
    owner?: { name: string; uid: string },
    kind = 'Service',
  ): LiveObject => ({
    apiVersion: 'v1',
    kind,
    metadata: {
      name: 'db-web',
      namespace: 'tenant-acme',
      uid: 'child',
      labels,
      ...(owner ? { ownerReferences: [{ apiVersion: API_VERSION, kind: 'Instance', ...owner }] } : {}),
    },
  });
  const db = { name: 'db', uid: 'uid-db' };
  const labels = (name: string, uid: string) => ({ [LABELS.instance]: name, [LABELS.instanceUid]: uid });
  const mine = labels('db', 'uid-db');

  /** Who is woken by what becomes of the child: by its last change. */
  function woken(...states: (LiveObject | 'deleted')[]): string[] {
    const instances = new ObjectStore<InstanceObject>({ clock: systemClock, log });
    const instance = (name: string) =>
      ({ metadata: { name, namespace: 'tenant-acme', uid: `uid-${name}` } }) as InstanceObject;
    instances.put('tenant-acme/db', instance('db'), true);
    const stores = new Map<string, ObjectStore<LiveObject>>();
    const create = ({ gvr, indexers }: ReflectorOptions<LiveObject>) => {
      const store = new ObjectStore<LiveObject>({ clock: systemClock, log, indexers: indexers ?? {} });
      stores.set(gvr.kind, store);
      return { kind: gvr.kind, store };
    };
    const watched = new WatchedObjects(create as unknown as CreateReflector, instances);
    instances.put('tenant-acme/other', instance('other'), false);
    let names: string[] = [];
    watched.onEvent((key) => names.push(key.replace('tenant-acme/', '')));
    const store = stores.get((states[0] as LiveObject).kind)!;
    for (const [index, state] of states.entries()) {
      names = [];
      if (state === 'deleted') store.remove('tenant-acme/db-web', false);
      else {
        const metadata = { ...state.metadata, resourceVersion: String(index + 1) };
        store.put('tenant-acme/db-web', { ...state, metadata }, false);
      }
    }
    return names.sort();
  }

  test.each<[string, (LiveObject | 'deleted')[], string[]]>([
    ['once', [child(mine, db)], ['db']],
    ['whose label has another name now', [child(mine), child(labels('nobody', 'uid-db'))], ['db', 'nobody']],
    ['whose label had another name already', [child(labels('nobody', 'uid-db'))], ['db', 'nobody']],
    [
      'whose labels are all of nobody, by its owner',
      [child(labels('nobody', 'x'), db), 'deleted'],
      ['db', 'nobody'],
    ],
    ['whose owner was renamed, by its UID', [child({}, { name: 'nobody', uid: 'uid-db' })], ['db', 'nobody']],
    [
      'whose child another one got, and that one',
      [child(mine), child(labels('other', 'uid-other'))],
      ['db', 'other'],
    ],
    ['whose pod was labelled anew', [child(labels('nobody', 'uid-db'), undefined, 'Pod')], ['db', 'nobody']],
    ['whose pod only has the name', [child({ [LABELS.instance]: 'db' }, undefined, 'Pod')], ['db']],
    [
      'not by what somebody else owns',
      [
        {
          ...child({}),
          metadata: {
            ...child({}).metadata,
            ownerReferences: [{ apiVersion: 'v1', kind: 'ConfigMap', name: 'db', uid: 'x' }],
          },
        },
      ],
      [],
    ],
  ])('%s', (_, states, names) => {
    expect(woken(...states)).toEqual(names);
  });
});

test('what is kept of a pod tells that it does not start', () => {
  const pod: LiveObject = {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: {
      name: 'db-web-1',
      creationTimestamp: '2026-01-01T00:00:00Z',
      labels: { [LABELS.node]: 'web' },
    },
    spec: { nodeName: 'node-1', containers: [{ name: 'web', env: [] }] },
    status: { phase: 'Pending', hostIP: '10.0.0.1' },
  };
  const kept = podStatusOnly(pod);
  expect(stuckObject([], [kept], new Date('2026-01-01T00:01:00Z'))).toBe(kept);
  expect(JSON.stringify(kept)).not.toMatch(/containers|hostIP/);
});
