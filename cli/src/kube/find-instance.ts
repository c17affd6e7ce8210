import type { InstanceObject } from '@felucca/contract';
import { Failure } from '../failure.ts';
import type { Kube } from './client.ts';
import { ifAllowed, isSeen, KubeError } from './errors.ts';
import { isKind } from './resources.ts';

const KIND_PREFIX = /^instances?(\.felucca\.dev)?\//;

/** `db`, `instance/db` or `tenant-acme/db`. */
export function parseInstanceName(text: string): { namespace?: string; name: string } {
  const [first = '', second, ...rest] = text.replace(KIND_PREFIX, '').split('/');
  if (first === '' || second === '' || rest.length > 0)
    throw new Failure(`"${text}" is not the name of an Instance`, 'write it as <name> or <namespace>/<name>');
  if (second !== undefined && isKind(first))
    throw new Failure(
      `"${text}" is no Instance; children, pods and volumes are told with theirs`,
      `name the Instance that the ${first} belongs to; felucca tree shows which that is`,
    );
  return second === undefined ? { name: first } : { namespace: first, name: second };
}

/** The one Instance that is meant; without a namespace it is looked for everywhere. */
export async function findInstance(
  kube: Kube,
  text: string,
  namespace: string | undefined,
): Promise<InstanceObject> {
  const named = parseInstanceName(text);
  const { name } = named;
  const where = named.namespace ?? namespace;
  if (where !== undefined) {
    const found = await kube.get<InstanceObject>('Instance', where, name);
    if (found) return found;
    const others = await ifAllowed(everywhere(kube, name));
    const elsewhere = isSeen(others) ? others.value : [];
    throw new Failure(
      `there is no Instance "${name}" in namespace ${where}`,
      elsewhere.length > 0
        ? `there is one in ${elsewhere.map(({ metadata }) => metadata.namespace).join(', ')}: say which with -n`
        : 'felucca status lists those that there are',
    );
  }
  const found = await everywhere(kube, name).catch((error: unknown) => {
    if (!(error instanceof KubeError) || error.status !== 403) throw error;
    throw new Failure(
      `you may not look for "${name}" in all namespaces`,
      'say where it is with -n <namespace>',
      error,
    );
  });
  const [only, ...more] = found;
  if (!only)
    throw new Failure(
      `there is no Instance "${name}" in any namespace`,
      'felucca status lists those that there are',
    );
  if (more.length > 0)
    throw new Failure(
      `there are ${found.length} Instances "${name}": ${found.map(({ metadata }) => `${metadata.namespace}/${metadata.name}`).join(', ')}`,
      'say which with -n <namespace>',
    );
  return only;
}

const everywhere = (kube: Kube, name: string): Promise<InstanceObject[]> =>
  kube.list<InstanceObject>('Instance', undefined, { fieldSelector: `metadata.name=${name}` });
