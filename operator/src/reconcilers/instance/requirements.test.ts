import {
  API_VERSION,
  type BlueprintObject,
  FINALIZER,
  type InstanceObject,
  type TenantObject,
} from '@felucca/contract';
import { describe, expect, test } from 'vitest';
import type { CompileResult } from '../blueprint/compiled-blueprints.ts';
import type { InstanceContext } from './context.ts';
import { requirements } from './requirements.ts';

interface Cluster {
  tenants?: Record<string, Partial<TenantObject>>;
  blueprint?: CompileResult;
}

/** What keeps an Instance in this namespace from being made; `undefined` when nothing does. */
function unmet(
  namespace: string,
  { tenants = {}, blueprint }: Cluster = {},
  finalizers: string[] = [],
): string | undefined {
  const instance: InstanceObject = {
    apiVersion: API_VERSION,
    kind: 'Instance',
    metadata: { name: 'db', namespace, finalizers },
    spec: { blueprintRef: { name: 'postgres', version: '1.0.0' } },
  };
  const spec = { name: 'postgres', version: '1.0.0' } as BlueprintObject['spec'];
  const context = {
    tenants: { get: (_: unknown, name: string) => tenants[name] },
    blueprints: { get: () => blueprint && { metadata: {}, spec } },
    compiled: { get: () => blueprint },
  } as unknown as InstanceContext;
  try {
    requirements(context, instance);
    return undefined;
  } catch (error) {
    return (error as Error).message;
  }
}

test('a Tenant that is not ready keeps children from being made, not those that are there from being looked after', () => {
  const conditions = [{ type: 'Ready', status: 'False', message: '1 Instance still lives' }];
  const tenants = { acme: { status: { conditions } } } as unknown as NonNullable<Cluster['tenants']>;
  expect(unmet('tenant-acme', { tenants })).toBe('Tenant acme is not ready: 1 Instance still lives');
  expect(unmet('tenant-acme', { tenants }, [FINALIZER])).toMatch(/^Blueprint .* is not on this cluster/);
});

describe('an Instance without a Tenant', () => {
  test('is told to move, where its namespace can belong to none', () => {
    expect(unmet('default', { tenants: { default: {} } })).toBe(
      'namespace default is not that of a Tenant; apply the Instance in tenant-<name of its Tenant> instead',
    );
  });
  test('is told which is missing', () => {
    expect(unmet('tenant-acme')).toMatch(/^there is no Tenant acme for namespace tenant-acme; apply it/);
  });
});
