import { ANNOTATIONS, digestOf, holdsSealed, type InstanceObject } from '@felucca/contract';

/**
 * Whether the spec is one that the control plane ordered, or nobody's but that of whoever applied it here. An edit of what
 * it ordered is set back, and nothing may be done about it before: to follow it and to come back restarts a database twice.
 *
 * The sync marks each generation that it has verified. A row that it is writing says so itself, with its digest, so that
 * an order does not wait for the mark. One with sealed values does: whose they are is told by the id in the mark, and
 * anybody can write a digest.
 */
export function isAsOrdered({ metadata, spec, status }: InstanceObject): boolean {
  const { [ANNOTATIONS.digest]: digest, [ANNOTATIONS.generation]: generation = 0 } =
    metadata.annotations ?? {};
  const { desired, conditions } = status ?? {};
  if (desired === undefined && digest === undefined) return true;
  const synced = conditions?.find(({ type }) => type === 'Synced');
  if (desired !== undefined && synced?.observedGeneration === metadata.generation) return true;
  if (desired === undefined && holdsSealed(spec?.parameters)) return false;
  const isNewest = Number(generation) >= (desired?.generation ?? 0);
  return isNewest && digestOf(spec ?? {}) === digest;
}
