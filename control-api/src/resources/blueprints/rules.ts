import type { BlueprintSpec, Problem } from '@felucca/contract';

/**
 * Parameters travel in the clear as long as nothing seals them to the data plane, so a product that would ask a tenant
 * for a secret is refused here rather than leaked later.
 */
export function SensitiveParametersAreNotSealed(spec: BlueprintSpec): Problem[] {
  const problems: Problem[] = [];
  const visit = (schema: unknown, path: string): void => {
    if (schema === null || typeof schema !== 'object') return;
    if ('sensitive' in schema && schema.sensitive === true)
      problems.push({
        path,
        message: 'is marked sensitive, but parameters cannot be sealed yet',
        remedy: 'let a Secret node generate the value, or take it from a Secret in the tenant namespace',
      });
    for (const [key, value] of Object.entries(schema))
      visit(value, `${path}/${key.replaceAll('~', '~0').replaceAll('/', '~1')}`);
  };
  visit(spec.parameters, '/parameters');
  return problems;
}
