import { join } from 'node:path';
import { type BlueprintFile, instanceSchema, read, specSchema } from './crd-schemas.ts';
import { expectPostgres } from './expect-postgres.ts';
import { expectWeb } from './expect-web.ts';
import { type Json, valueAt } from './pointer.ts';
import type { State } from './state.ts';
import { type Leaf, leavesOf, type Schema, violationsOf, withDefaults } from './structural-schema.ts';

/** One thing that must be so in the cluster for a given spec. */
export interface Expectation {
  what: string;
  actual: unknown;
  expected: unknown;
}

/** An Instance of one product, with everything that can be asked for and what it must lead to. */
export interface Product {
  name: string;
  blueprint: BlueprintFile;
  /** The spec that every trial starts from and comes back to. */
  spec: Json;
  leaves: Leaf[];
  /** A second, naive rendering of the product: written by hand from its description, not from its templates. */
  expect?: (spec: Json, state: State) => Expectation[];
  /** Field of a child that the API server must refuse; the parameter's own schema cannot know. */
  refusedChild?: (spec: Json) => string | undefined;
}

const blueprintRef = (blueprint: BlueprintFile): Json => ({
  name: blueprint.spec.name,
  version: blueprint.spec.version,
});

function product(name: string, file: string, spec: Json): Product {
  const blueprint = read(file) as BlueprintFile;
  return {
    name,
    blueprint,
    spec: { blueprintRef: blueprintRef(blueprint), ...spec },
    leaves: leavesOf(instanceSchema(blueprint)),
  };
}

export const WEB: Product = {
  ...product('web', 'crds/examples/valid/blueprint-web.yaml', {
    parameters: { message: 'hello', replicas: 2 },
    suspend: false,
    deletionPolicy: 'Delete',
  }),
  expect: expectWeb,
  refusedChild: (spec) => {
    const image = valueAt(spec, ['parameters', 'image']);
    return typeof image === 'string' && (image === '' || image.trim() !== image) ? 'image' : undefined;
  },
};

export const POSTGRES: Product = {
  ...product('postgres', 'crds/examples/valid/blueprint-postgres.yaml', {
    parameters: { size: 'small', storageGi: 2, settings: { work_mem: '8MB' } },
    deletionPolicy: 'Delete',
  }),
  expect: expectPostgres,
};

/** Its Blueprint has a value at every leaf of the Blueprint's own definition. */
export const EVERY_LEAF: Product = product('everyleaf', join('e2e/chaos/acto', 'every-leaf.yaml'), {
  parameters: { text: 'hello' },
});

export const BLUEPRINT_SCHEMA: Schema = specSchema('blueprints');
export const TENANT_SCHEMA: Schema = specSchema('tenants');
export const DATA_PLANE_SCHEMA: Schema = specSchema('dataplanes');
const INSTANCE_SCHEMA: Schema = specSchema('instances');

/** Who must say no to a spec, and about which fields; nobody: it must become so. */
export type Verdict = { by: 'nobody' } | { by: 'api server' | 'operator' | 'child'; fields: string[] };

/** `before` is the spec that the Instance runs with: some fields may be set once. */
export function verdictOf(subject: Product, before: Json, spec: unknown): Verdict {
  const broken = violationsOf(INSTANCE_SCHEMA, spec, 'dropped');
  if (broken.length > 0) return { by: 'api server', fields: broken.map(lastOf) };
  const named = (path: string[]): unknown => valueAt(spec, path);
  if (named(['blueprintRef', 'name']) !== valueAt(before, ['blueprintRef', 'name']))
    return { by: 'api server', fields: ['name'] };
  const version = named(['blueprintRef', 'version']);
  if (version !== subject.blueprint.spec.version) return { by: 'operator', fields: [String(version)] };
  const { parameters: schema } = subject.blueprint.spec;
  const wanted = withDefaults(schema, named(['parameters']) ?? {}) as Json;
  const wrong = violationsOf(schema, wanted, 'wrong');
  if (wrong.length > 0) return { by: 'operator', fields: wrong.map(lastOf) };
  const had = withDefaults(schema, valueAt(before, ['parameters']) ?? {}) as Json;
  const fixed = Object.entries(schema.properties ?? {})
    .filter(([name, { immutable }]) => immutable && had[name] !== wanted[name])
    .map(([name]) => name);
  if (fixed.length > 0) return { by: 'operator', fields: fixed };
  const refused = subject.refusedChild?.(spec as Json);
  return refused ? { by: 'child', fields: [refused] } : { by: 'nobody' };
}

/** The name that a message must have; an index or the whole spec is named by its parent. */
const lastOf = (path: readonly string[]): string => path.findLast((step) => !/^\d+$/.test(step)) ?? 'spec';
