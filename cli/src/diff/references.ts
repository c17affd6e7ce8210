import { isSecretReference, mapSensitive, referenceMark, sensitiveValues } from '@felucca/contract';
import type { Product } from '../facts/product.ts';
import type { Kube } from '../kube/client.ts';
import { ifAllowed, seenValue } from '../kube/errors.ts';

/**
 * With what the operator made of references to Secrets, of which only the metadata is read: without it every child that
 * holds such a value would look as if a newer version were to be applied.
 */
export async function withReferences(kube: Kube, product: Product, namespace: string): Promise<Product> {
  const { compiled, parameters } = product;
  const marks = new Map<string, string>();
  for (const [path, value] of sensitiveValues(compiled.spec, parameters)) {
    if (!isSecretReference(value)) continue;
    const { name } = value.secretRef;
    const secret = seenValue(await ifAllowed(kube.get('Secret', namespace, name, { metadataOnly: true })));
    if (secret) marks.set(path, referenceMark(value, secret.metadata));
  }
  if (marks.size === 0) return product;
  return {
    ...product,
    parameters: mapSensitive(compiled.spec, parameters, (value, path) => marks.get(path) ?? value),
  };
}
