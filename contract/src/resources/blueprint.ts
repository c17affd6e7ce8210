import { z } from 'zod';
import { BLUEPRINT_VERSION_PATTERN, NAME_PATTERN, NAME_RULE, NODE_ID_PATTERN } from '../identity.ts';

/** The only kinds a Blueprint may create, always in the tenant's namespace. */
export const CHILD_KINDS = [
  { apiVersion: 'apps/v1', kind: 'Deployment' },
  { apiVersion: 'apps/v1', kind: 'StatefulSet' },
  { apiVersion: 'batch/v1', kind: 'Job' },
  { apiVersion: 'batch/v1', kind: 'CronJob' },
  { apiVersion: 'v1', kind: 'Service' },
  { apiVersion: 'v1', kind: 'ConfigMap' },
  { apiVersion: 'v1', kind: 'Secret' },
  { apiVersion: 'v1', kind: 'PersistentVolumeClaim' },
  { apiVersion: 'networking.k8s.io/v1', kind: 'Ingress' },
  { apiVersion: 'networking.k8s.io/v1', kind: 'NetworkPolicy' },
  { apiVersion: 'policy/v1', kind: 'PodDisruptionBudget' },
  { apiVersion: 'autoscaling/v2', kind: 'HorizontalPodAutoscaler' },
] as const;

const expression = z
  .string()
  .min(4)
  .max(4096)
  .regex(/^\$\{[\s\S]*\}$/, 'must be one expression: "${…}"');
export const driftPolicies = ['correct', 'report', 'ignore'] as const;
export type DriftPolicy = (typeof driftPolicies)[number];

export const blueprintNodeSchema = z.strictObject({
  /** CEL name of the node and tail of the child's name. */
  id: z.string().regex(NODE_ID_PATTERN, 'must start with a letter, then letters or digits, at most 20'),
  /** The node exists only if every expression is true. Parameters and instance only (phase 1). */
  when: z.array(expression).max(8).optional(),
  /** May only add to `<instance>-<id>`. */
  nameSuffix: z
    .string()
    .regex(/^-[a-z0-9]([-a-z0-9]{0,18}[a-z0-9])?$/)
    .optional(),
  /** Template: apiVersion, kind and body; no metadata.name, metadata.namespace or ownerReferences. */
  manifest: z.record(z.string(), z.unknown()),
  /** Secret keys that the operator makes once, with a cryptographic random source, and then keeps. */
  generate: z
    .array(
      z.strictObject({
        key: z.string().regex(/^[-._a-zA-Z0-9]{1,63}$/),
        length: z.number().int().min(16).max(128),
      }),
    )
    .max(16)
    .optional(),
  /** All must hold; without any, the kind's own rule decides. `self` is the observed child. */
  ready: z.array(expression).max(8).optional(),
  failed: z
    .array(
      z.strictObject({
        when: expression,
        audience: z.enum(['tenant', 'operator']),
        reason: z.string().regex(/^[A-Z][A-Za-z]{0,63}$/),
        message: z.string().max(512).optional(),
      }),
    )
    .max(8)
    .optional(),
  drift: z
    .strictObject({
      default: z.enum(driftPolicies).optional(),
      /** JSON pointers of fields somebody else may change. */
      ignore: z.array(z.string().startsWith('/').max(256)).max(32).optional(),
      report: z.array(z.string().startsWith('/').max(256)).max(32).optional(),
    })
    .optional(),
  onDelete: z.enum(['Delete', 'Retain']).optional(),
});

export const blueprintOutputSchema = z.strictObject({
  value: expression,
  description: z.string().max(512).optional(),
  /** A sensitive output must be a reference to a Secret key; its value never leaves the cluster. */
  sensitive: z.boolean().optional(),
});

export const blueprintSpecSchema = z.strictObject({
  name: z.string().max(40).regex(NAME_PATTERN, `must be ${NAME_RULE}`),
  version: z.string().max(17).regex(BLUEPRINT_VERSION_PATTERN, 'must be a version like 1.4.0'),
  title: z.string().max(80).optional(),
  description: z.string().max(2048).optional(),
  /** Kubernetes-structural JSON Schema of an object, with the marks `immutable`, `sensitive`, `billable`. */
  parameters: z.record(z.string(), z.unknown()),
  nodes: z.array(blueprintNodeSchema).min(1).max(32),
  outputs: z.record(z.string().regex(/^[a-z][a-zA-Z0-9]{0,39}$/), blueprintOutputSchema).optional(),
});

export type BlueprintSpec = z.infer<typeof blueprintSpecSchema>;
export type BlueprintNode = z.infer<typeof blueprintNodeSchema>;
export type BlueprintOutput = z.infer<typeof blueprintOutputSchema>;
