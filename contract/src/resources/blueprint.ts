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
const audience = z.enum(['tenant', 'operator']).describe('Who can do something about it.');
const reason = z
  .string()
  .regex(/^[A-Z][A-Za-z]{0,63}$/)
  .describe('One CamelCase word.');
const message = z.string().max(512).describe('What to do about it.');
export const driftPolicies = ['correct', 'report', 'ignore'] as const;
export type DriftPolicy = (typeof driftPolicies)[number];

export const blueprintNodeSchema = z.strictObject({
  id: z
    .string()
    .regex(NODE_ID_PATTERN, 'must start with a letter, then letters or digits, at most 20')
    .describe("Name of the node in expressions, and tail of the child's name: <instance>-<id>."),
  when: z
    .array(expression)
    .max(8)
    .describe('The node exists only if every expression is true. They see parameters and instance only.')
    .optional(),
  forEach: expression
    .describe(
      'One child for each item of this list or map, called <instance>-<id>-<key>. It sees parameters and instance only.',
    )
    .optional(),
  key: expression
    .describe(
      'Key of an item, from `each.value`; not needed for a map, or for a list of texts or integers, which are their own keys. A changed key is another child.',
    )
    .optional(),
  nameSuffix: z
    .string()
    .regex(/^-[a-z0-9]([-a-z0-9]{0,18}[a-z0-9])?$/)
    .describe("Added to the child's name.")
    .optional(),
  manifest: z
    .record(z.string(), z.unknown())
    .describe('Template: apiVersion, kind and body, without metadata.name, metadata.namespace and owners.'),
  generate: z
    .array(
      z.strictObject({
        key: z
          .string()
          .regex(/^[-._a-zA-Z0-9]{1,63}$/)
          .describe('Key in the Secret.'),
        length: z.number().int().min(16).max(128).describe('Characters of the value.'),
      }),
    )
    .max(16)
    .describe('Keys of a Secret that the operator makes once, at random, and then keeps.')
    .optional(),
  ready: z
    .array(expression)
    .max(8)
    .describe("All must hold; without any, the kind's own rule decides. `self` is the observed child.")
    .optional(),
  failed: z
    .array(
      z.strictObject({
        when: expression.describe('The child has failed when this holds. `self` is the observed child.'),
        audience,
        reason,
        message: message.optional(),
      }),
    )
    .max(8)
    .describe('When to call the child failed instead of progressing.')
    .optional(),
  deadline: z
    .strictObject({
      seconds: z
        .number()
        .int()
        .min(10)
        .max(86_400)
        .describe(
          'Time to become ready, from the last change of what is wanted or from when it was ready last.',
        ),
      audience: audience.optional(),
      reason: reason.optional(),
      message: message.optional(),
    })
    .describe(
      'After it a child that still makes progress counts as failed; for the operator if not said otherwise.',
    )
    .optional(),
  drift: z
    .strictObject({
      default: z
        .enum(driftPolicies)
        .describe('What to do about fields that somebody else changed; correct if not given.')
        .optional(),
      ignore: z
        .array(z.string().startsWith('/').max(256))
        .max(32)
        .describe('JSON pointers of fields that somebody else may change.')
        .optional(),
      report: z
        .array(z.string().startsWith('/').max(256))
        .max(32)
        .describe('JSON pointers of fields whose changes are recorded and left alone.')
        .optional(),
    })
    .describe('What happens to fields of the child that somebody else changed.')
    .optional(),
  onImmutable: z
    .enum(['Replace', 'Refuse'])
    .describe(
      'What happens when a field changes that Kubernetes fixes: Replace deletes the child and makes it anew, which never happens to kinds that hold data; Refuse, if not given, leaves it as it is and says so.',
    )
    .optional(),
  onDelete: z
    .enum(['Delete', 'Retain'])
    .describe('Whether the child goes when its Instance does; Delete if not given.')
    .optional(),
});

export const blueprintOutputSchema = z.strictObject({
  value: expression.describe('The value, as one expression over parameters and observed children.'),
  description: z.string().max(512).describe('For the tenant.').optional(),
  sensitive: z
    .boolean()
    .describe('It must be a reference to a key of a Secret; the value leaves the cluster only sealed.')
    .optional(),
});

export const blueprintSpecSchema = z.strictObject({
  name: z.string().max(40).regex(NAME_PATTERN, `must be ${NAME_RULE}`).describe('The product.'),
  version: z
    .string()
    .max(17)
    .regex(BLUEPRINT_VERSION_PATTERN, 'must be a version like 1.4.0')
    .describe('Version of the product, like 1.4.0.'),
  title: z.string().max(80).describe('Name of the product for people.').optional(),
  description: z.string().max(2048).describe('What the product is, for people.').optional(),
  parameters: z
    .record(z.string(), z.unknown())
    .describe(
      'Kubernetes-structural JSON Schema of an object, with the marks `immutable`, `sensitive` and `billable`.',
    ),
  nodes: z.array(blueprintNodeSchema).min(1).max(32).describe('Templates of the child objects.'),
  outputs: z
    .record(z.string().regex(/^[a-z][a-zA-Z0-9]{0,39}$/), blueprintOutputSchema)
    .describe('What an Instance tells its tenant, by name.')
    .optional(),
});

export type BlueprintSpec = z.infer<typeof blueprintSpecSchema>;
export type BlueprintNode = z.infer<typeof blueprintNodeSchema>;
export type BlueprintOutput = z.infer<typeof blueprintOutputSchema>;
