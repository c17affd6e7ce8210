import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parse } from 'yaml';
import type { Json } from './pointer.ts';
import type { Schema } from './structural-schema.ts';

export const repository = join(import.meta.dirname, '../../..');
export const read = (path: string): unknown => parse(readFileSync(join(repository, path), 'utf8'));

/** The schema of a kind's spec, as the API server enforces it. */
export function specSchema(plural: string): Schema {
  const crd = read(`crds/felucca.dev_${plural}.yaml`) as {
    spec: { versions: { schema: { openAPIV3Schema: { properties: { spec: Schema } } } }[] };
  };
  const [version] = crd.spec.versions;
  if (!version) throw new Error(`crds/felucca.dev_${plural}.yaml has no version`);
  return version.schema.openAPIV3Schema.properties.spec;
}

export interface BlueprintFile extends Json {
  metadata: { name: string };
  spec: Json & { name: string; version: string; parameters: Schema };
}

/** An Instance's spec with the parameters of its Blueprint in place of "anything". */
export function instanceSchema(blueprint: BlueprintFile): Schema {
  const schema = specSchema('instances');
  return { ...schema, properties: { ...schema.properties, parameters: blueprint.spec.parameters } };
}
