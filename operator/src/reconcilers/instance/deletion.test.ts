import { type InventoryEntry, LABELS } from '@felucca/contract';
import { describe, expect, test } from 'vitest';
import type { LiveObject } from '../cluster.ts';
import { blockedBy, type DeletionFact, planDeletion } from './deletion.ts';

const UID = 'i1';
function fact(
  kind: string,
  wave: number,
  change: { entry?: Partial<InventoryEntry>; live?: Partial<LiveObject['metadata']> } = {},
): DeletionFact {
  const name = kind.toLowerCase();
  const entry = {
    node: name,
    apiVersion: 'v1',
    kind,
    name,
    uid: `u-${name}`,
    wave,
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
  const all = [
    fact('Secret', 0),
    fact('Deployment', 1),
    fact('Ingress', 2),
    fact('PersistentVolumeClaim', 0),
  ];

  test('waits for what leaves, in whatever wave, and for nothing else', () => {
    const kept = fact('PersistentVolumeClaim', 0, { live: { ownerReferences: [] } });
    const foreign = fact('Service', 1, { live: { uid: 'other', labels: {} } });
    const facts = [fact('Secret', 0), fact('Deployment', 1), kept, foreign];
    const { leaving } = planDeletion(UID, 'Retain', facts);
    expect(leaving.map((entry) => entry.kind)).toEqual(['Deployment']);
    expect(planDeletion(UID, 'Delete', facts).leaving.map((entry) => entry.kind)).toEqual([
      'Secret',
      'Deployment',
      'PersistentVolumeClaim',
    ]);
  });

  test('takes the highest wave first and the next one when it is gone', () => {
    expect(names(planDeletion(UID, 'Delete', all).remove)).toEqual(['Ingress']);
    expect(
      names(
        planDeletion(
          UID,
          'Delete',
          all.filter((item) => item.entry.wave < 2),
        ).remove,
      ),
    ).toEqual(['Deployment']);
    expect(
      names(
        planDeletion(
          UID,
          'Delete',
          all.filter((item) => item.entry.wave < 1),
        ).remove,
      ),
    ).toEqual(['Secret', 'PersistentVolumeClaim']);
  });

  test('waits for what is still going away', () => {
    const going = fact('Ingress', 2, { live: { deletionTimestamp: '2026-01-01T00:00:00Z' } });
    const plan = planDeletion(UID, 'Delete', [fact('Secret', 0), going]);
    expect([names(plan.remove), names(plan.waiting)]).toEqual([[], ['Ingress']]);
  });

  test('keeps volumes and secrets under Retain, everything under Orphan, and retained nodes always', () => {
    const data = [fact('PersistentVolumeClaim', 0), fact('Secret', 0), fact('ConfigMap', 0)];
    const retained = planDeletion(UID, 'Retain', data);
    expect(names(retained.release)).toEqual(['PersistentVolumeClaim', 'Secret']);
    expect(names(retained.remove)).toEqual(['ConfigMap']);
    expect(names(planDeletion(UID, 'Orphan', all).release)).toHaveLength(4);
    expect(names(planDeletion(UID, 'Orphan', all).remove)).toEqual([]);
    const kept = planDeletion(UID, 'Delete', [fact('Secret', 0, { entry: { onDelete: 'Retain' } })]);
    expect([names(kept.release), names(kept.remove)]).toEqual([['Secret'], []]);
  });

  test('takes an object of an entry without UID only by our label, and never a foreign one', () => {
    const { uid: _, ...ahead } = fact('Secret', 0).entry;
    const ours = fact('Secret', 0).live;
    const foreign = fact('Secret', 0, { live: { labels: {} } }).live;
    expect(
      planDeletion(UID, 'Delete', [{ entry: ahead, ...(ours ? { live: ours } : {}) }]).remove,
    ).toHaveLength(1);
    expect(
      planDeletion(UID, 'Delete', [{ entry: ahead, ...(foreign ? { live: foreign } : {}) }]).remove,
    ).toEqual([]);
    const replaced = fact('Secret', 0, { live: { uid: 'other', labels: {} } });
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
        planDeletion(UID, 'Delete', [fact('Secret', 0, { live: { uid: 'new', ...live } })]).leaving,
      ).toEqual([]);
    const taken = fact('Secret', 0, { live: { ownerReferences: [controller] } });
    expect(planDeletion(UID, 'Delete', [taken]).leaving).toEqual([]);
    const again = fact('Secret', 0, { live: { uid: 'new' } });
    expect(planDeletion(UID, 'Delete', [again]).leaving).toHaveLength(1);
  });

  test('names what blocks it once it takes long', () => {
    const { live } = fact('Secret', 0, {
      live: { deletionTimestamp: '2026-01-01T00:00:00Z', finalizers: ['acme.io/hold'] },
    });
    if (!live) throw new Error('the fact has an object');
    expect(blockedBy(live, new Date('2026-01-01T00:00:10Z'))).toBeUndefined();
    expect(blockedBy(live, new Date('2026-01-01T00:01:00Z'))).toMatch(/Secret\/secret .* acme\.io\/hold/);
  });
});
