import { describe, expect, it } from 'vitest';
import type { ManagedFieldsEntry } from '../reconcilers/cluster.ts';
import { isEmptied, managerOf, ownedPart, specEdits } from './spec-edits.ts';

const managed: ManagedFieldsEntry[] = [
  {
    manager: 'felucca-sync',
    operation: 'Apply',
    fieldsV1: {
      'f:spec': { 'f:blueprintRef': { 'f:name': {}, 'f:version': {} }, 'f:parameters': { 'f:size': {} } },
    },
  },
  {
    manager: 'kubectl-edit',
    operation: 'Update',
    time: '2026-01-01T00:00:00Z',
    fieldsV1: { 'f:metadata': {}, 'f:spec': { 'f:parameters': { 'f:extra': {} }, 'f:suspend': {} } },
  },
];

describe('edits of a spec', () => {
  it('names changed, missing and extra fields by their path', () => {
    const row = { a: { b: 1, 'c/d': [1, 2] }, gone: 'x' };
    const live = { a: { b: 2, 'c/d': [1, 3] }, more: true };
    expect(specEdits(row, live).map(({ path, extra }) => [path, extra])).toEqual([
      ['/spec/a/b', false],
      ['/spec/a/c~1d/1', false],
      ['/spec/gone', false],
      ['/spec/more', true],
    ]);
  });

  it('sees a field that is named like something every object inherits', () => {
    expect(specEdits({ a: 1 }, { a: 1, constructor: 'x' })).toEqual([
      { path: '/spec/constructor', expected: undefined, actual: 'x', extra: true },
    ]);
    expect(specEdits({ toString: 'x' }, {})).toEqual([
      { path: '/spec/toString', expected: 'x', actual: undefined, extra: false },
    ]);
  });

  it('sees none where only the order of keys differs', () => {
    expect(specEdits({ a: 1, b: { c: 2, d: 3 } }, { b: { d: 3, c: 2 }, a: 1 })).toEqual([]);
  });

  it('stops counting at twenty', () => {
    const wide = Object.fromEntries(Array.from({ length: 50 }, (_, index) => [`f${index}`, index]));
    expect(specEdits(wide, {})).toHaveLength(20);
  });

  it.each([
    ['/spec/suspend', 'kubectl-edit'],
    ['/spec/parameters/extra', 'kubectl-edit'],
    ['/spec/parameters/extra/deep', 'kubectl-edit'],
    ['/spec/parameters/size', undefined],
    ['/spec/deletionPolicy', undefined],
  ])('attributes %s to %s', (path, manager) => {
    expect(managerOf(managed, path, 'felucca-sync')).toBe(manager);
  });

  it('counts what we set otherwise than by an apply, which no apply takes away', () => {
    const ours = {
      manager: 'felucca-sync',
      operation: 'Update' as const,
      fieldsV1: { 'f:spec': { 'f:a': {} } },
    };
    expect(managerOf([ours], '/spec/a', 'felucca-sync')).toBe('felucca-sync');
  });

  it.each([
    [{ a: {} }, { a: { b: 1 } }, true],
    [{}, { a: 1 }, true],
    [{ a: {} }, { a: {} }, false],
    [{ a: {} }, { a: null }, false],
    [{ a: {} }, {}, false],
    [{ a: { b: 1 } }, { a: { b: 2, c: 3 } }, false],
    [{ a: [{}] }, { a: [{ b: 1 }] }, false],
  ])('tells whether something becomes empty: %j from %j', (expected, actual, empties) => {
    expect(isEmptied(expected, actual)).toBe(empties);
  });

  it('takes a default of the API server out of the live spec', () => {
    const live = {
      blueprintRef: { name: 'pg', version: '1.0.0' },
      parameters: { size: 1, extra: 2 },
      suspend: false,
    };
    const own = managed[0]!.fieldsV1!['f:spec'] as Record<string, unknown>;
    expect(ownedPart(live, own)).toEqual({
      blueprintRef: { name: 'pg', version: '1.0.0' },
      parameters: { size: 1 },
    });
  });

  it('follows keyed and set lists', () => {
    const live = {
      nodes: [
        { id: 'a', x: 1, y: 2 },
        { id: 'b', x: 3 },
      ],
      tags: ['p', 'q'],
    };
    const fields = {
      'f:nodes': { 'k:{"id":"a"}': { '.': {}, 'f:id': {}, 'f:x': {} } },
      'f:tags': { 'v:"q"': {} },
    };
    expect(ownedPart(live, fields)).toEqual({ nodes: [{ id: 'a', x: 1 }], tags: ['q'] });
  });
});
