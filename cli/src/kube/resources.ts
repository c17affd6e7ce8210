import { CHILD_KINDS, RESOURCES } from '@felucca/contract';

/** A kind as paths name it. */
export interface Resource {
  apiVersion: string;
  kind: string;
  plural: string;
  namespaced: boolean;
}

const OTHERS: readonly Omit<Resource, 'plural'>[] = [
  { apiVersion: 'v1', kind: 'Pod', namespaced: true },
  { apiVersion: 'v1', kind: 'Event', namespaced: true },
  { apiVersion: 'v1', kind: 'ResourceQuota', namespaced: true },
  { apiVersion: 'v1', kind: 'Namespace', namespaced: false },
  { apiVersion: 'coordination.k8s.io/v1', kind: 'Lease', namespaced: true },
];

const TABLE = new Map<string, Resource>(
  [...Object.values(RESOURCES), ...CHILD_KINDS.map((item) => ({ ...item, namespaced: true })), ...OTHERS].map(
    (item) => [item.kind, { ...item, plural: pluralOf(item.kind) }],
  ),
);

/** Every kind that the CLI reads: ours, those that a Blueprint may create, and what explains them. */
export function resource(kind: string): Resource {
  const found = TABLE.get(kind);
  if (!found) throw new Error(`${kind} is not a kind that this program reads`);
  return found;
}

/** As kubectl takes a kind: `pod`, `Pods`, `deployments.apps`. */
export const isKind = (word: string): boolean => {
  const [name = ''] = word.toLowerCase().split('.');
  return [...TABLE.values()].some(({ kind, plural }) => name === kind.toLowerCase() || name === plural);
};

/** As the API conventions build it; all kinds of the table follow them. */
function pluralOf(kind: string): string {
  const word = kind.toLowerCase();
  if (word.endsWith('s')) return `${word}es`;
  return word.endsWith('y') ? `${word.slice(0, -1)}ies` : `${word}s`;
}

export function pathOf(
  { apiVersion, plural, namespaced }: Resource,
  namespace?: string,
  name?: string,
): string {
  const root = apiVersion.includes('/') ? `/apis/${apiVersion}` : `/api/${apiVersion}`;
  const scope = namespaced && namespace ? `/namespaces/${encodeURIComponent(namespace)}` : '';
  return `${root}${scope}/${plural}${name === undefined ? '' : `/${encodeURIComponent(name)}`}`;
}
