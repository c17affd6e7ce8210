import { z } from 'zod';
import { conditionSchema } from '../conditions.ts';
import { DATA_PLANE_NAME } from '../identity.ts';
import { blueprintSpecSchema } from '../resources/blueprint.ts';
import { dataPlaneSpecSchema, dataPlaneStatusSchema } from '../resources/data-plane.ts';
import {
  desiredStampSchema,
  instanceSpecSchema,
  instanceStatusSchema,
  termSchema,
} from '../resources/instance.ts';
import type { RESOURCES } from '../resources/object.ts';
import { tenantSpecSchema, tenantStatusSchema } from '../resources/tenant.ts';
import type { ValidationRule } from './structural-schema.ts';

export interface PrinterColumn {
  name: string;
  type: 'string' | 'integer' | 'date' | 'boolean';
  jsonPath: string;
  /** 1: only with -o wide. */
  priority?: 1;
  description?: string;
}

export interface KindDefinition {
  kind: keyof typeof RESOURCES;
  singular: string;
  shortNames: readonly string[];
  categories: readonly string[];
  spec: z.ZodType;
  status: z.ZodType;
  description: string;
  specRequired: boolean;
  /** On the whole object, where metadata.name can be seen. */
  objectRules: readonly ValidationRule[];
  specRules: readonly ValidationRule[];
  columns: readonly PrinterColumn[];
  selectableFields?: readonly string[];
}

const condition = (type: string, field: 'status' | 'reason' | 'message') =>
  `.status.conditions[?(@.type=="${type}")].${field}`;
const READY: PrinterColumn = { name: 'Ready', type: 'string', jsonPath: condition('Ready', 'status') };
const REASON: PrinterColumn = { name: 'Reason', type: 'string', jsonPath: condition('Ready', 'reason') };
const AGE: PrinterColumn = { name: 'Age', type: 'date', jsonPath: '.metadata.creationTimestamp' };
const MESSAGE: PrinterColumn = {
  name: 'Message',
  type: 'string',
  jsonPath: condition('Ready', 'message'),
  priority: 1,
};

/** The name becomes part of names of namespaces and services, which are DNS labels of at most 63 characters. */
const nameRules: readonly ValidationRule[] = [
  {
    rule: 'self.metadata.name.size() <= 40',
    message:
      'metadata.name must be at most 40 characters, so that names of children fit; choose a shorter name',
    fieldPath: '.metadata.name',
  },
  {
    rule: "!self.metadata.name.contains('.')",
    message: "metadata.name must not contain '.': names of children allow none; use '-' instead",
    fieldPath: '.metadata.name',
  },
];

const blueprintStatusSchema = z.object({
  observedGeneration: z.number().int(),
  conditions: z.array(conditionSchema).max(16).optional(),
  desired: desiredStampSchema.optional(),
  term: termSchema.optional(),
  digest: z.string().optional(),
});

export const KINDS: readonly KindDefinition[] = [
  {
    kind: 'DataPlane',
    singular: 'dataplane',
    shortNames: ['fdp'],
    categories: ['felucca'],
    spec: dataPlaneSpecSchema,
    status: dataPlaneStatusSchema,
    description: 'Settings of the link to the control plane.',
    specRequired: false,
    objectRules: [
      {
        rule: `self.metadata.name == '${DATA_PLANE_NAME}'`,
        message: `metadata.name must be '${DATA_PLANE_NAME}': a cluster is one data plane`,
        fieldPath: '.metadata.name',
      },
    ],
    specRules: [],
    columns: [
      { name: 'Connected', type: 'string', jsonPath: condition('FeedConnected', 'status') },
      { name: 'Reason', type: 'string', jsonPath: condition('FeedConnected', 'reason') },
      { name: 'Held', type: 'string', jsonPath: condition('DeletionBlocked', 'status') },
      { name: 'Cursor', type: 'string', jsonPath: '.status.cursor' },
      { name: 'Holder', type: 'string', jsonPath: '.status.holder', priority: 1 },
      { name: 'Message', type: 'string', jsonPath: condition('FeedConnected', 'message'), priority: 1 },
      AGE,
    ],
  },
  {
    kind: 'Tenant',
    singular: 'tenant',
    shortNames: ['ften'],
    categories: ['felucca'],
    spec: tenantSpecSchema,
    status: tenantStatusSchema,
    description: 'An organization that has Instances here; it becomes a namespace of its own.',
    specRequired: false,
    objectRules: [
      ...nameRules,
      // On the whole object: a rule of the spec would not be asked when the spec goes away and comes back.
      {
        rule:
          '!has(oldSelf.spec) || !has(oldSelf.spec.organizationId) || (has(self.spec) ' +
          '&& has(self.spec.organizationId) && self.spec.organizationId == oldSelf.spec.organizationId)',
        message: 'spec.organizationId is immutable; delete the Tenant and create another',
        fieldPath: '.spec.organizationId',
      },
    ],
    specRules: [],
    columns: [
      READY,
      REASON,
      { name: 'Namespace', type: 'string', jsonPath: '.status.namespace' },
      MESSAGE,
      AGE,
    ],
  },
  {
    kind: 'Blueprint',
    singular: 'blueprint',
    shortNames: ['fbp'],
    categories: ['felucca'],
    spec: blueprintSpecSchema,
    status: blueprintStatusSchema,
    description: 'One immutable version of a product.',
    specRequired: true,
    objectRules: [
      {
        rule: "self.metadata.name == self.spec.name + '-' + self.spec.version.replace('.', '-')",
        message: 'metadata.name must be <spec.name>-<spec.version with dashes>, for example postgres-1-4-0',
        fieldPath: '.metadata.name',
      },
    ],
    specRules: [
      { rule: 'self == oldSelf', message: 'a Blueprint version is immutable; publish a new version instead' },
    ],
    columns: [
      READY,
      REASON,
      { name: 'Product', type: 'string', jsonPath: '.spec.name' },
      { name: 'Version', type: 'string', jsonPath: '.spec.version' },
      MESSAGE,
      AGE,
    ],
    selectableFields: ['.spec.name', '.spec.version'],
  },
  {
    kind: 'Instance',
    singular: 'instance',
    shortNames: ['finst'],
    categories: ['felucca', 'all'],
    spec: instanceSpecSchema,
    status: instanceStatusSchema,
    description: 'One thing that a tenant ordered.',
    specRequired: true,
    objectRules: nameRules,
    specRules: [
      {
        rule: 'self.blueprintRef.name == oldSelf.blueprintRef.name',
        message: 'spec.blueprintRef.name is immutable; an Instance can change its version, not its product',
        fieldPath: '.blueprintRef.name',
      },
    ],
    columns: [
      READY,
      REASON,
      { name: 'Blueprint', type: 'string', jsonPath: '.spec.blueprintRef.name' },
      { name: 'Version', type: 'string', jsonPath: '.spec.blueprintRef.version' },
      { name: 'Drift', type: 'integer', jsonPath: '.status.driftCount', priority: 1 },
      { name: 'Suspended', type: 'boolean', jsonPath: '.spec.suspend', priority: 1 },
      MESSAGE,
      AGE,
    ],
    selectableFields: ['.spec.blueprintRef.name', '.spec.blueprintRef.version'],
  },
];
