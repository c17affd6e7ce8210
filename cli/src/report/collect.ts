import {
  holdsSensitive,
  type InstanceObject,
  isRecord,
  type KubeObject,
  LEASE_NAME,
  type LiveObject,
  leaseName,
} from '@felucca/contract';
import { stringify } from 'yaml';
import type { Context } from '../commands/context.ts';
import { eventsAnswer } from '../commands/events.ts';
import { treeAnswer } from '../commands/tree.ts';
import { whyAnswer } from '../commands/why.ts';
import { branchOf } from '../facts/branch.ts';
import { foldRepeats, lineOf } from '../facts/events.ts';
import { type InstanceFacts, instanceFacts } from '../facts/instance.ts';
import { platformFacts } from '../facts/platform.ts';
import { ifAllowed, isSeen, KubeError, type Seen, seenValue } from '../kube/errors.ts';
import { paintFor } from '../show/paint.ts';
import { walk } from '../why/walk.ts';
import type { Bundle } from './bundle.ts';
import { redactObject } from './redact.ts';

const LOG_LINES = 2_000;
const LOG_BYTES = 512 << 10;
const MAX_LOGS = 10;
const plain = paintFor(false);

/** One Instance and all that explains its state. */
export async function collectInstance(
  context: Context,
  bundle: Bundle,
  instance: InstanceObject,
  withLogs: boolean,
): Promise<void> {
  const { namespace = '', name } = instance.metadata;
  const now = context.terminal.now();
  const facts = await instanceFacts(context.kube, instance, context.operatorNamespace, now);
  const folder = `instances/${namespace}/${name}`;
  bundle.add(`${folder}/why.txt`, whyAnswer(instance, walk(facts), plain, now).text(true));
  bundle.add(
    `${folder}/tree.txt`,
    treeAnswer([branchOf(facts, seenValue(facts.events))], plain, now).text(true),
  );
  if (isSeen(facts.events))
    bundle.add(
      `${folder}/events.txt`,
      eventsAnswer(foldRepeats(facts.events.value.map(lineOf)), plain, now).text(true),
    );
  const sensitive = sensitiveParameters(facts);
  addObject(bundle, `${folder}/instance.yaml`, { value: instance }, sensitive);
  addObject(bundle, `tenants/${facts.organization}.yaml`, facts.tenant);
  addObject(
    bundle,
    `blueprints/${instance.spec?.blueprintRef.name}-${instance.spec?.blueprintRef.version}.yaml`,
    facts.blueprint,
  );
  for (const { entry, live, pods, claims } of facts.children) {
    addObject(bundle, `${folder}/children/${entry.kind}-${entry.name}.yaml`, live);
    for (const object of [...claims, ...pods])
      addObject(bundle, `${folder}/children/${object.kind}-${object.metadata.name}.yaml`, { value: object });
  }
  for (const quota of seenValue(facts.quotas) ?? [])
    addObject(bundle, `${folder}/quota-${quota.metadata.name}.yaml`, { value: quota });
  const pods = facts.children.flatMap((child) => child.pods);
  if (withLogs) await collectLogs(context, bundle, `${folder}/logs`, pods);
  else if (pods.length > 0)
    bundle.leftOut.push(
      `${folder}/logs: what its containers write may be its tenant's own; --logs takes it in`,
    );
}

/** The operator and its link. */
export async function collectPlatform(context: Context, bundle: Bundle): Promise<void> {
  const { kube, operatorNamespace } = context;
  const { leases, dataPlane } = await platformFacts(kube, operatorNamespace);
  addObject(bundle, 'platform/dataplane.yaml', dataPlane);
  for (const [shard, lease] of leases.entries())
    addObject(bundle, `platform/lease-${leaseName(LEASE_NAME, shard, leases.length)}.yaml`, lease);
  const selector = { labelSelector: 'app.kubernetes.io/name=felucca-operator' };
  const pods = await ifAllowed(kube.list('Pod', operatorNamespace, selector));
  if (!isSeen(pods)) {
    bundle.leftOut.push(`platform/: ${pods.hidden}`);
    return;
  }
  for (const pod of pods.value) addObject(bundle, `platform/${pod.metadata.name}.yaml`, { value: pod });
  if (pods.value.length === 0)
    bundle.leftOut.push(`platform/logs: the operator runs in no pod of namespace ${operatorNamespace}`);
  await collectLogs(context, bundle, 'platform/logs', pods.value);
}

function addObject(
  bundle: Bundle,
  path: string,
  seen: Seen<KubeObject | undefined>,
  sensitive?: ReadonlySet<string>,
): void {
  if (!isSeen(seen)) bundle.leftOut.push(`${path}: ${seen.hidden}`);
  else if (seen.value && !bundle.files.has(path))
    bundle.add(
      path,
      stringify(JSON.parse(JSON.stringify(redactObject(seen.value, sensitive))), { lineWidth: 0 }),
    );
}

/** Marked so by the Blueprint; at the top level, since what is inside a marked one goes with it. */
function sensitiveParameters({ product, instance }: InstanceFacts): ReadonlySet<string> {
  // Without the Blueprint nobody knows which are harmless.
  if (!product) return new Set(Object.keys(instance.spec?.parameters ?? {}));
  const properties = product.compiled.parameters.properties ?? {};
  return new Set(Object.keys(properties).filter((name) => holdsSensitive(properties[name]!)));
}

async function collectLogs(
  { kube }: Context,
  bundle: Bundle,
  folder: string,
  pods: readonly LiveObject[],
): Promise<void> {
  for (const pod of pods.slice(0, MAX_LOGS)) {
    const containers = Array.isArray(pod.spec?.containers) ? pod.spec.containers : [];
    for (const container of containers.filter(isRecord)) {
      const path = `${folder}/${pod.metadata.name}-${String(container.name)}.log`;
      try {
        const { namespace = '', name } = pod.metadata;
        bundle.add(path, await kube.log(namespace, name, String(container.name), LOG_LINES, LOG_BYTES));
      } catch (error) {
        if (!(error instanceof KubeError)) throw error;
        bundle.leftOut.push(`${path}: ${error.message}`);
      }
    }
  }
  if (pods.length > MAX_LOGS) bundle.leftOut.push(`${folder}: logs of ${pods.length - MAX_LOGS} more pods`);
}
