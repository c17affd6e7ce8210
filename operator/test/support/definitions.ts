import { fileURLToPath } from 'node:url';
import { type Cluster, definitionsEstablished } from '@felucca/dev';

const CRDS = fileURLToPath(new URL('../../../crds/', import.meta.url));

/** Felucca's CustomResourceDefinitions, served when this resolves. */
export async function applyDefinitions(cluster: Cluster): Promise<void> {
  await cluster.kubectl(['apply', '--server-side', '-f', CRDS]);
  await definitionsEstablished(cluster);
}
