import { describe, expect, test } from 'vitest';
import type { PlannedChild } from '../blueprint/planned-children.ts';
import type { Scope } from '../blueprint/scope.ts';
import type { InstanceObject } from '../resources/object.ts';
import { childState } from './child-state.ts';
import type { LiveObject } from './live-object.ts';

const NOW = new Date('2026-01-01T00:00:00Z');
const child = { compiled: { node: {}, ready: [], failed: [] } } as unknown as PlannedChild;
const goes = { deletionTimestamp: NOW.toISOString() };
const live = (metadata: object = {}) =>
  ({ apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'x', ...metadata } }) as LiveObject;
const stateOf = (object: LiveObject | undefined, metadata: object = {}) => {
  const instance = { kind: 'Instance', metadata: { name: 'i', ...metadata } } as InstanceObject;
  return childState(child, object, {} as Scope, instance, NOW);
};

describe('a child', () => {
  test.each<[string, LiveObject | undefined, string]>([
    ['that is not there', undefined, 'it does not exist yet'],
    ['that goes', live(goes), 'it is being deleted and will be made again'],
    [
      'that something holds',
      live({ ...goes, finalizers: ['foregroundDeletion', 'acme.io/hold'] }),
      'it is being deleted and will be made again; it waits for its finalizers acme.io/hold',
    ],
  ])('%s is to come', (_, object, message) => {
    expect(stateOf(object)).toEqual({ state: 'progressing', message });
  });

  test.each<[string, LiveObject | undefined, string]>([
    ['that is not there', undefined, 'it is gone'],
    ['that goes', live(goes), 'it is being deleted'],
  ])('%s does not come again when its Instance is being deleted', (_, object, message) => {
    expect(stateOf(object, goes)).toEqual({ state: 'progressing', message });
  });

  test('that somebody scaled is not ready, unless its Blueprint lets others do that', () => {
    const scaled = (drift?: object) => {
      const workload = { compiled: { node: drift ? { drift } : {}, ready: [], failed: [] } };
      const set = { kind: 'StatefulSet', spec: { replicas: 0 } };
      const instance = { kind: 'Instance', metadata: { name: 'i' } } as InstanceObject;
      return (wanted?: number) =>
        childState(
          workload as unknown as PlannedChild,
          { ...live({ generation: 1 }), ...set, status: { observedGeneration: 1 } } as LiveObject,
          {} as Scope,
          instance,
          NOW,
          wanted,
        ).message;
    };
    const message = 'it is scaled to 0 instead of 2';
    expect([scaled()(2), scaled({ default: 'report' })(2)]).toEqual([message, message]);
    expect([scaled({ ignore: ['/spec/replicas'] })(2), scaled()(0), scaled()(undefined)]).toEqual([
      '',
      '',
      '',
    ]);
  });

  test('that is there is as it is, also when its Instance is being deleted', () => {
    expect(stateOf(live())).toEqual({ state: 'ready', message: '' });
    expect(stateOf(live(), goes)).toEqual({ state: 'ready', message: '' });
  });
});
