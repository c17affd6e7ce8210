import { waitUntil } from '../process/wait-until.ts';
import type { Cluster } from './cluster.ts';

interface Definitions {
  items: readonly {
    metadata: { name: string };
    status?: { conditions?: readonly { type: string; status: string }[] | null };
  }[];
}

/**
 * Resolves once every CustomResourceDefinition of the cluster is established; throws after 30 s with the names of those
 * that are not. `kubectl wait` cannot be asked: in the moment before a new definition has its first condition the list
 * is null, and there kubectl gives up instead of waiting.
 */
export async function definitionsEstablished(cluster: Pick<Cluster, 'kubectl'>): Promise<void> {
  await waitUntil(
    'the definitions to be established',
    async () => {
      const { items } = JSON.parse(await cluster.kubectl(['get', 'crd', '-o', 'json'])) as Definitions;
      const missing = items.filter(
        ({ status }) =>
          !status?.conditions?.some(({ type, status }) => type === 'Established' && status === 'True'),
      );
      if (missing.length > 0) throw new Error(missing.map(({ metadata }) => metadata.name).join(', '));
      return true;
    },
    { timeoutMs: 30_000 },
  );
}
