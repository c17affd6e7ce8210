import { type InventoryEntry, LABELS } from '@felucca/contract';
import { describe, expect, test } from 'vitest';
import type { LiveObject } from '../cluster.ts';
import { blockedBy, type DeletionFact, planDeletion } from './deletion.ts';

const UID = 'i1';
function fact(
  kind: string,
  change: { entry?: Partial<InventoryEntry>; live?: Partial<LiveObject['metadata']> } = {},
): DeletionFact {
  const name = kind.toLowerCase();
  const entry = {
    node: name,
    apiVersion: 'v1',
    kind,
    name,
    uid: `u-${name}`,
    wave: 0,
    onDelete: 'Delete' as const,
    ...change.entry,
  };
  const metadata = {
    name,
    uid: `u-${name}`,
    labels: { [LABELS.instanceUid]: UID, [LABELS.node]: name },
    ownerReferences: [{ apiVersion: 'v1', kind: 'Instance', name: 'x', uid: UID }],
    ...change.live,
  };
  return { entry, live: { apiVersion: 'v1', kind, metadata } as LiveObject };
}
const names = (objects: LiveObject[]): string[] => objects.map((object) => object.kind);

describe('deletion', () => {
  const all = [fact('Secret'), fact('Deployment'), fact('Ingress'), fact('PersistentVolumeClaim')];

  test('waits for what leaves, and for nothing else', () => {
    const kept = fact('PersistentVolumeClaim', { live: { ownerReferences: [] } });
    const foreign = fact('Service', { live: { uid: 'other', labels: {} } });
    const facts = [fact('Secret'), fact('Deployment'), kept, foreign];
    const { leaving } = planDeletion(UID, 'Retain', facts);
    expect(leaving.map((entry) => entry.kind)).toEqual(['Deployment']);
    expect(planDeletion(UID, 'Delete', facts).leaving.map((entry) => entry.kind)).toEqual([
      'Secret',
      'Deployment',
      'PersistentVolumeClaim',
    ]);
  });

  test('does not ask twice for what is still going away', () => {
    const going = fact('Ingress', { live: { deletionTimestamp: '2026-01-01T00:00:00Z' } });
    const plan = planDeletion(UID, 'Delete', [fact('Secret'), going]);
    expect([names(plan.remove), names(plan.waiting)]).toEqual([['Secret'], ['Ingress']]);
  });

  test('keeps volumes and secrets under Retain, everything under Orphan, and retained nodes always', () => {
    const data = [fact('PersistentVolumeClaim'), fact('Secret'), fact('ConfigMap')];
    const retained = planDeletion(UID, 'Retain', data);
    expect(names(retained.release)).toEqual(['PersistentVolumeClaim', 'Secret']);
    expect(names(retained.remove)).toEqual(['ConfigMap']);
    expect(names(planDeletion(UID, 'Orphan', all).release)).toHaveLength(4);
    expect(names(planDeletion(UID, 'Orphan', all).remove)).toEqual([]);
    const kept = planDeletion(UID, 'Delete', [fact('Secret', { entry: { onDelete: 'Retain' } })]);
    expect([names(kept.release), names(kept.remove)]).toEqual([['Secret'], []]);
  });

  test('takes an object of an entry without UID only by our label, and never a foreign one', () => {
    const { uid: _, ...ahead } = fact('Secret').entry;
    const ours = fact('Secret').live;
    const foreign = fact('Secret', { live: { labels: {} } }).live;
    expect(
      planDeletion(UID, 'Delete', [{ entry: ahead, ...(ours ? { live: ours } : {}) }]).remove,
    ).toHaveLength(1);
    expect(
      planDeletion(UID, 'Delete', [{ entry: ahead, ...(foreign ? { live: foreign } : {}) }]).remove,
    ).toEqual([]);
    const replaced = fact('Secret', { live: { uid: 'other', labels: {} } });
    expect(planDeletion(UID, 'Delete', [replaced]).remove).toEqual([]);
  });

  test('takes no object for its own by labels that do not fit, or against its controller', () => {
    const controller = { apiVersion: 'v1', kind: 'Thing', name: 'x', uid: 'other', controller: true };
    for (const live of [
      { labels: { [LABELS.instanceUid]: UID } },
      { labels: { [LABELS.instanceUid]: UID, [LABELS.node]: 'another' } },
      { ownerReferences: [controller] },
    ])
      expect(
        planDeletion(UID, 'Delete', [fact('Secret', { live: { uid: 'new', ...live } })]).leaving,
      ).toEqual([]);
    const taken = fact('Secret', { live: { ownerReferences: [controller] } });
    expect(planDeletion(UID, 'Delete', [taken]).leaving).toEqual([]);
    const again = fact('Secret', { live: { uid: 'new' } });
    expect(planDeletion(UID, 'Delete', [again]).leaving).toHaveLength(1);
  });

  test('names what blocks it once it takes long', () => {
    const { live } = fact('Secret', {
      live: { deletionTimestamp: '2026-01-01T00:00:00Z', finalizers: ['acme.io/hold'] },
    });
    if (!live) throw new Error('the fact has an object');
    expect(blockedBy(live, new Date('2026-01-01T00:00:10Z'))).toBeUndefined();
    expect(blockedBy(live, new Date('2026-01-01T00:01:00Z'))).toMatch(/Secret\/secret .* acme\.io\/hold/);
  });
});
