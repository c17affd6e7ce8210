import type { Condition } from '@felucca/contract';
import type { LiveObject } from '../cluster.ts';
import { BLOCKED_AFTER_MS } from '../instance/deletion.ts';

/**
 * Of a namespace on its way out: what it still waits for, in the words of its controller ("Some content in the namespace
 * has finalizers remaining: …"), and whether a person should look.
 */
export function namespaceGoing(namespace: LiveObject, now: Date): { waitsFor: string; isBlocked: boolean } {
  const { deletionTimestamp = now.toISOString() } = namespace.metadata;
  const conditions = (namespace.status?.['conditions'] ?? []) as Condition[];
  const said = conditions.filter(({ status }) => status === 'True').map(({ message }) => message.trim());
  const lastsMs = now.getTime() - Date.parse(deletionTimestamp);
  return {
    waitsFor: said.length > 0 ? ` (since ${deletionTimestamp}): ${said.join('; ')}` : '',
    isBlocked: said.length > 0 && lastsMs >= BLOCKED_AFTER_MS,
  };
}
