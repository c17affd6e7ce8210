import type { Json, KubeObject } from '../rig.ts';
import { commonKey, commonText } from './names.ts';

/** What is left at the end of a case, by key and JSON pointer, in words that every run shares. Pure. */
export type Snapshot = ReadonlyMap<string, string>;
/** How often each object was made and went. */
export type History = ReadonlyMap<string, { readonly made: number; readonly gone: number }>;

/** Counters and stamps of the API server, and what says which way was taken rather than where it led. */
const WAYWARD = [
  /\/metadata\/(uid|resourceVersion|creationTimestamp|generation|managedFields)(\/|$)/,
  /\/metadata\/annotations\/(felucca\.dev~1(inventory|term)|deployment\.kubernetes\.io~1revision)$/,
  // Where the scheduler put a pod, and which volume its claim got.
  /\/metadata\/annotations\/(volume|pv)(\.beta)?\.kubernetes\.io~1/,
  /\/spec\/volumeName$/,
  /\/status\/(term|inventoryRevision|drift|driftCount|observedGeneration)(\/|$)/,
  /\/status\/conditions\/[^/]+\/(lastTransitionTime|observedGeneration)$/,
  // A record of the differences met on the way; a restart may lose one that it repaired and had not told.
  /\/status\/conditions\/DriftDetected(\/|$)/,
];
/** Put into every namespace by the cluster, different in each cluster. */
const OF_THE_CLUSTER = /^configmaps\/[^/]+\/kube-root-ca\.crt$/;
const FELUCCA = /\.felucca\.dev\//;

export function snapshotOf(objects: Iterable<[string, KubeObject]>, id: string): Snapshot {
  const snapshot = new Map<string, string>();
  for (const [key, object] of objects) {
    if (OF_THE_CLUSTER.test(key)) continue;
    const common = commonKey(key, id);
    snapshot.set(common, object.metadata.deletionTimestamp ? 'terminating' : 'there');
    for (const [path, value] of leaves(keyedConditions(object), '')) {
      // What others say about their own objects is not the operator's work.
      if (path.startsWith('/status') && !FELUCCA.test(key)) continue;
      if (!WAYWARD.some((pattern) => pattern.test(path)))
        snapshot.set(`${common} ${commonText(path, id)}`, commonText(value, id));
    }
  }
  return snapshot;
}

export interface Difference {
  readonly what: string;
  readonly expected: string | undefined;
  readonly actual: string | undefined;
}

export function differences(expected: Snapshot, actual: Snapshot, masked: ReadonlySet<string>): Difference[] {
  const found: Difference[] = [];
  for (const what of new Set([...expected.keys(), ...actual.keys()]))
    if (!masked.has(what) && expected.get(what) !== actual.get(what))
      found.push({ what, expected: expected.get(what), actual: actual.get(what) });
  return found;
}

/** What two runs without a fault do not agree about: addresses, passwords. */
export const maskOf = (one: Snapshot, other: Snapshot): Set<string> =>
  new Set(differences(one, other, new Set()).map(({ what }) => what));

export function historyOf(changes: Iterable<{ type: string; key: string }>, id: string): History {
  const history = new Map<string, { made: number; gone: number }>();
  for (const { type, key } of changes) {
    if (type === 'MODIFIED' || key.startsWith('pods/') || OF_THE_CLUSTER.test(key)) continue;
    const common = commonKey(key, id);
    const count = history.get(common) ?? { made: 0, gone: 0 };
    history.set(common, count);
    if (type === 'ADDED') count.made += 1;
    else count.gone += 1;
  }
  return history;
}

/** `atMost`: the operator was kept from seeing something, so it may have left things out that it did otherwise. */
export function historyDifferences(expected: History, actual: History, atMost: boolean): Difference[] {
  const none = { made: 0, gone: 0 };
  const found: Difference[] = [];
  for (const what of new Set([...expected.keys(), ...actual.keys()])) {
    const [a, b] = [expected.get(what) ?? none, actual.get(what) ?? none];
    const isFine = atMost ? b.made <= a.made && b.gone <= a.gone : b.made === a.made && b.gone === a.gone;
    if (!isFine) found.push({ what, expected: words(a), actual: words(b) });
  }
  return found;
}

const words = ({ made, gone }: { made: number; gone: number }): string => `made ${made}×, gone ${gone}×`;

function keyedConditions(object: KubeObject): Json {
  const { conditions } = object.status ?? {};
  if (!Array.isArray(conditions)) return object;
  const byType = Object.fromEntries(conditions.map((condition) => [condition.type, condition]));
  return { ...object, status: { ...object.status, conditions: byType } };
}

function* leaves(value: Json, path: string): Iterable<[string, string]> {
  if (typeof value !== 'object' || value === null) yield [path, JSON.stringify(value) ?? 'undefined'];
  else
    for (const [name, child] of Object.entries(value))
      yield* leaves(child, `${path}/${name.replaceAll('~', '~0').replaceAll('/', '~1')}`);
}
