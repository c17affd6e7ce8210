import { CHILD_KINDS } from '../resources/blueprint.ts';
import pinned from './kubernetes-types.json' with { type: 'json' };
import { isRecord } from './problem.ts';

/**
 * What Kubernetes says about the fields of the kinds that a Blueprint may create, in a short form. A type is
 * `string bytes int number bool quantity intOrString any enum<a|b> list<T> map<T>` or the name of an object type.
 */
export interface KubernetesTypes {
  /** Object type by `<apiVersion> <kind>`. */
  kinds: Readonly<Record<string, string>>;
  /** Fields by object type; a required one has a `!` behind its name. */
  types: Readonly<Record<string, Readonly<Record<string, string>>>>;
}

/** Of the version of Kubernetes that we build and test with, for those who have no cluster at hand. */
export const PINNED_TYPES: KubernetesTypes = pinned;

export const kindKey = ({ apiVersion, kind }: { apiVersion: string; kind: string }): string =>
  `${apiVersion} ${kind}`;

/** Documents of /openapi/v3 that say everything about the kinds. */
export const OPENAPI_PATHS = [...new Set(CHILD_KINDS.map(({ apiVersion }) => apiVersion))].map((version) =>
  version.includes('/') ? `apis/${version}` : `api/${version}`,
);

/** A kind that no document describes is left out. */
export function kubernetesTypes(documents: readonly unknown[]): KubernetesTypes {
  const schemas = new Map<string, Schema>();
  for (const document of documents)
    for (const [name, schema] of Object.entries(schemasOf(document))) schemas.set(name, schema as Schema);
  const reader = new SchemaReader(schemas);
  const kinds = CHILD_KINDS.flatMap((wanted): [string, string][] => {
    const [name] = [...schemas].find(([, schema]) => isOfKind(schema, wanted)) ?? [];
    return name === undefined ? [] : [[kindKey(wanted), reader.typeOf({ $ref: name })]];
  });
  return { kinds: Object.fromEntries(kinds), types: sorted(reader.types) };
}

interface Schema {
  $ref?: string;
  allOf?: Schema[];
  oneOf?: Schema[];
  type?: string;
  format?: string;
  enum?: unknown[];
  items?: Schema;
  properties?: Record<string, Schema>;
  additionalProperties?: Schema;
  required?: string[];
  'x-kubernetes-group-version-kind'?: { group: string; version: string; kind: string }[];
}

class SchemaReader {
  readonly types: Record<string, Record<string, string>> = {};
  readonly #schemas: ReadonlyMap<string, Schema>;
  readonly #owners = new Map<string, string>();

  constructor(schemas: ReadonlyMap<string, Schema>) {
    this.#schemas = schemas;
  }

  typeOf(schema: Schema): string {
    const ref = schema.$ref ?? schema.allOf?.[0]?.$ref;
    if (ref !== undefined) return this.#named(ref.replace('#/components/schemas/', ''));
    if (schema.format === 'int-or-string') return 'intOrString';
    if (schema.oneOf) return 'quantity';
    if (schema.enum) return `enum<${schema.enum.join('|')}>`;
    if (schema.type === 'string') return schema.format === 'byte' ? 'bytes' : 'string';
    if (schema.type === 'integer') return 'int';
    if (schema.type === 'number' || schema.type === 'boolean')
      return schema.type === 'number' ? 'number' : 'bool';
    if (schema.type === 'array') return `list<${this.typeOf(schema.items ?? {})}>`;
    return schema.additionalProperties ? `map<${this.typeOf(schema.additionalProperties)}>` : 'any';
  }

  #named(name: string): string {
    const schema = this.#schemas.get(name) ?? {};
    if (!schema.properties) return this.typeOf(schema);
    const short = this.#shortName(name);
    if (this.types[short]) return short;
    const fields: Record<string, string> = {};
    this.types[short] = fields;
    for (const [field, inner] of Object.entries(schema.properties))
      fields[schema.required?.includes(field) ? `${field}!` : field] = this.typeOf(inner);
    return short;
  }

  /** The last part, unless another type was called so before. */
  #shortName(name: string): string {
    const short = name.slice(name.lastIndexOf('.') + 1);
    const owner = this.#owners.get(short) ?? name;
    this.#owners.set(short, owner);
    return owner === name ? short : name;
  }
}

const schemasOf = (document: unknown): Record<string, unknown> => {
  const components = isRecord(document) ? document.components : undefined;
  return isRecord(components) && isRecord(components.schemas) ? components.schemas : {};
};

const isOfKind = (schema: Schema, { apiVersion, kind }: (typeof CHILD_KINDS)[number]): boolean =>
  (schema['x-kubernetes-group-version-kind'] ?? []).some(
    (item) => item.kind === kind && [item.group, item.version].filter(Boolean).join('/') === apiVersion,
  ) && schema.properties !== undefined;

const sorted = <T>(record: Record<string, T>): Record<string, T> =>
  Object.fromEntries(Object.entries(record).toSorted(([a], [b]) => (a < b ? -1 : 1)));
