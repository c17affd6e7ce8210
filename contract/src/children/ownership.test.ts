import { describe, expect, test } from 'vitest';
import { LABELS } from '../identity.ts';
import type { InventoryEntry } from '../resources/instance.ts';
import type { KubeObject } from '../resources/object.ts';
import type { LiveObject } from './live-object.ts';
import { whyForeign } from './ownership.ts';

const UID = 'uid-1';
const labels = {
  [LABELS.managedBy]: 'felucca',
  [LABELS.instance]: 'site',
  [LABELS.node]: 'web',
};
const wanted: KubeObject = {
  apiVersion: 'v1',
  kind: 'Service',
  metadata: { name: 'site-web', labels: { ...labels, [LABELS.instanceUid]: UID } },
};
const live = (
  ofLabels: Record<string, string>,
  owner?: { kind: string; uid: string; controller?: boolean },
): LiveObject => ({
  apiVersion: 'v1',
  kind: 'Service',
  metadata: {
    name: 'site-web',
    uid: 'child-1',
    labels: ofLabels,
    ...(owner ? { ownerReferences: [{ apiVersion: 'v1', name: 'owner', ...owner }] } : {}),
  },
});
const mine = { ...labels, [LABELS.instanceUid]: UID };
const us = { kind: 'Instance', uid: UID, controller: true };
const entry = { uid: 'child-1' } as InventoryEntry;

describe('an object under a child’s name', () => {
  test.each<[string, LiveObject, InventoryEntry | undefined, RegExp | undefined]>([
    ['that we made', live(mine, us), entry, undefined],
    ['that we made before a kill, which the inventory does not know', live(mine, us), undefined, undefined],
    ['that we made and somebody took the labels from', live({}, us), entry, undefined],
    ['that we made and somebody took the owner from', live(mine), entry, undefined],
    [
      'that a former Instance of this name left',
      live({ ...labels, [LABELS.instanceUid]: 'old' }),
      undefined,
      undefined,
    ],
    ['that we made and somebody took the UID label from', live(labels, us), entry, undefined],
    [
      'that we made and somebody labelled as of another Instance',
      live({ ...labels, [LABELS.instanceUid]: 'other', [LABELS.instance]: 'other' }, us),
      entry,
      undefined,
    ],
    [
      'that names us as its owner, and that we do not know',
      live({ ...labels, [LABELS.instanceUid]: 'other' }, us),
      undefined,
      /instance-uid says other/,
    ],
    ['that names us as its owner, without labels', live({}, us), undefined, /does not carry the label/],
    ['that we made and nothing tells of it any more', live({}), entry, /does not carry the label/],
    ['that we made and only its place tells of', live(labels), entry, /does not carry .*instance-uid/],
    [
      'that we made and somebody gave away',
      live(
        { ...labels, [LABELS.instanceUid]: 'other' },
        { kind: 'Instance', uid: 'other', controller: true },
      ),
      entry,
      /belongs to Instance owner/,
    ],
    ['without labels', live({}), undefined, /does not carry the label/],
    [
      'without labels, of another UID than ours had',
      live({}),
      { ...entry, uid: 'child-0' },
      /does not carry/,
    ],
    [
      'that somebody gave our UID',
      live({ [LABELS.instanceUid]: UID }),
      undefined,
      /does not carry the label/,
    ],
    ['of another node', live({ ...mine, [LABELS.node]: 'db' }), undefined, /node says db/],
    [
      'of an Instance of another name',
      live({ ...mine, [LABELS.instance]: 'other' }),
      undefined,
      /instance says other/,
    ],
    [
      'with all our labels, under another controller',
      live(mine, { kind: 'Deployment', uid: 'x', controller: true }),
      undefined,
      /belongs to Deployment owner/,
    ],
    [
      'that we made and another controller took over',
      live(mine, { kind: 'Deployment', uid: 'x', controller: true }),
      entry,
      /belongs to Deployment owner/,
    ],
    [
      'of another Instance’s UID that somebody else owns',
      live({ ...labels, [LABELS.instanceUid]: 'other' }, { kind: 'Thing', uid: 'x' }),
      undefined,
      /another Instance/,
    ],
  ])('%s', (_, object, known, why) => {
    const answer = whyForeign(object, wanted, known, UID);
    if (why) expect(answer).toMatch(why);
    else expect(answer).toBeUndefined();
  });
});
