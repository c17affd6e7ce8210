import { GROUP, VERSION } from '../identity.ts';
import { RESOURCES } from '../resources/object.ts';
import type { KindDefinition } from './kinds.ts';
import { type StructuralSchema, structuralSchema } from './structural-schema.ts';

/** The complete CustomResourceDefinition of one kind, ready to be written as YAML. */
export function customResourceDefinition(definition: KindDefinition): object {
  const { kind, plural, namespaced } = RESOURCES[definition.kind];
  return {
    apiVersion: 'apiextensions.k8s.io/v1',
    kind: 'CustomResourceDefinition',
    metadata: { name: `${plural}.${GROUP}` },
    spec: {
      group: GROUP,
      scope: namespaced ? 'Namespaced' : 'Cluster',
      names: {
        kind,
        listKind: `${kind}List`,
        plural,
        singular: definition.singular,
        shortNames: definition.shortNames,
        categories: definition.categories,
      },
      versions: [
        {
          name: VERSION,
          served: true,
          storage: true,
          subresources: { status: {} },
          additionalPrinterColumns: definition.columns,
          ...(definition.selectableFields
            ? { selectableFields: definition.selectableFields.map((jsonPath) => ({ jsonPath })) }
            : {}),
          schema: { openAPIV3Schema: objectSchema(definition) },
        },
      ],
    },
  };
}

function objectSchema(definition: KindDefinition): StructuralSchema {
  const spec = structuralSchema(definition.spec);
  spec.description = 'What is wanted.';
  if (definition.specRules.length > 0) spec['x-kubernetes-validations'] = [...definition.specRules];
  return {
    type: 'object',
    description: definition.description,
    ...(definition.specRequired ? { required: ['spec'] } : {}),
    properties: {
      apiVersion: { type: 'string' },
      kind: { type: 'string' },
      // The bound lets the API server estimate what rules over the name cost.
      metadata: { type: 'object', properties: { name: { type: 'string', maxLength: 63 } } },
      spec,
      status: statusSchema(definition),
    },
    ...(definition.objectRules.length > 0 ? { 'x-kubernetes-validations': [...definition.objectRules] } : {}),
  };
}

/** kstatus takes an object without observedGeneration for finished; -1 makes a new one look like what it is. */
function statusSchema(definition: KindDefinition): StructuralSchema {
  const status = structuralSchema(definition.status);
  const properties = status.properties ?? {};
  if (properties['conditions'])
    Object.assign(properties['conditions'], {
      'x-kubernetes-list-type': 'map',
      'x-kubernetes-list-map-keys': ['type'],
    });
  for (const list of ['inventory', 'drift'])
    if (properties[list]) properties[list]['x-kubernetes-list-type'] = 'atomic';
  return { ...status, description: 'What the operator observed.', default: { observedGeneration: -1 } };
}
