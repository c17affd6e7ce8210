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
  ])('%s is to come', (_, object, message) => {
    expect(stateOf(object)).toEqual({ state: 'progressing', message });
  });

  test.each<[string, LiveObject | undefined, string]>([
    ['that is not there', undefined, 'it is gone'],
    ['that goes', live(goes), 'it is being deleted'],
  ])('%s does not come again when its Instance is being deleted', (_, object, message) => {
    expect(stateOf(object, goes)).toEqual({ state: 'progressing', message });
  });

  test('that is there is as it is, also when its Instance is being deleted', () => {
    expect(stateOf(live())).toEqual({ state: 'ready', message: '' });
    expect(stateOf(live(), goes)).toEqual({ state: 'ready', message: '' });
  });
});
