import {
  ANNOTATIONS,
  DATA_PLANE_NAME,
  type InstanceObject,
  type KubeObject,
  LEASE_NAME,
  leaseName,
  shardOf,
  type TenantObject,
} from '@felucca/contract';
import { conditionOf } from '../facts/conditions.ts';
import type { InstanceFacts } from '../facts/instance.ts';
import { HELD, isOwned } from '../facts/ownership.ts';
import type { Lease, PlatformFacts } from '../facts/platform.ts';
import { isSeen, seenValue } from '../kube/errors.ts';
import { age } from '../show/age.ts';
import { type Finding, failed, findingOf, type Hop, ok, skipped, unknown, untold } from './finding.ts';

/** A leader renews its Lease several times within its duration; beyond two durations nobody leads. */
const LEASE_PATIENCE = 2;

/** Tenants, Blueprints and the link are there once: they belong to the first. */
export const FIRST_SHARD = 0;

/** Nothing happens to an Instance unless an operator leads the shard that it belongs to. */
export const operatorHop = ({ platform, instance, now }: InstanceFacts): Hop =>
  shardHop(platform, shardOf(instance.metadata.uid ?? '', platform.leases.length), now);

/** What went wrong with what is there once is of no use while nobody leads its shard; an Instance may be of another. */
export function firstShardFailure({
  platform,
  now,
}: Pick<InstanceFacts, 'platform' | 'now'>): Hop | undefined {
  const hop = shardHop(platform, FIRST_SHARD, now);
  return hop.state === 'failed' ? hop : undefined;
}

/** Whether an operator leads a shard, and which. */
export function shardHop(platform: PlatformFacts, shard: number, now: Date): Hop {
  const { leases, operatorNamespace } = platform;
  const count = leases.length;
  const lease = leases[shard]!;
  if (!isSeen(lease))
    return unknown(
      `you may not read the Lease ${leaseName(LEASE_NAME, shard, count)} in ${operatorNamespace}`,
    );
  const spec = lease.value?.spec;
  const leads = count === 1 ? 'leads' : `leads shard ${shard} of ${count}`;
  if (isLed(lease.value, now)) return ok(`${spec?.holderIdentity} ${leads}`);
  const others = leases.some((other) => isLed(seenValue(other), now))
    ? 'operators that lead other shards take it within seconds; if not, their logs and their /readyz say why'
    : undefined;
  if (!spec)
    return noLeader(
      platform,
      shard,
      `no operator ${leads}, and none ever did in namespace ${operatorNamespace}`,
      others ??
        'install the chart felucca-operator; if it is in another namespace, say so with --operator-namespace',
    );
  const ago = `${age(spec.renewTime, now)} ago`;
  if (!spec.holderIdentity)
    return noLeader(
      platform,
      shard,
      `no operator ${leads}: the last one stopped ${ago}`,
      others ?? 'start it again: helm upgrade, or scale its Deployment up',
    );
  return noLeader(
    platform,
    shard,
    `no operator ${leads}: ${spec.holderIdentity} renewed its Lease ${ago}`,
    others ?? 'its log and its /readyz say why it does not; a standby takes over by itself',
  );
}

function isLed(lease: Lease | undefined, now: Date): boolean {
  const { holderIdentity, renewTime = '', leaseDurationSeconds = 15 } = lease?.spec ?? {};
  // False also for a time that cannot be read.
  const isRenewed = now.getTime() - Date.parse(renewTime) <= leaseDurationSeconds * 1000 * LEASE_PATIENCE;
  return Boolean(holderIdentity) && isRenewed;
}

const noLeader = (
  { leases, operatorNamespace }: PlatformFacts,
  shard: number,
  what: string,
  remedy: string,
): Hop =>
  failed({
    object: `Lease/${leaseName(LEASE_NAME, shard, leases.length)}`,
    what,
    remedy,
    audience: 'operator',
    runbook: 'felucca-no-leader',
    look: [
      `kubectl get pods,lease -n ${operatorNamespace}`,
      `kubectl logs -n ${operatorNamespace} deployment/felucca-operator${leases.length === 1 ? '' : ' --all-pods'} --tail=50`,
    ],
    events: [],
  });

/** Only what a control plane owns needs the link. */
export function linkHop(facts: InstanceFacts): Hop {
  if (!isOwned(facts.instance))
    return nameIsWanted(facts) ?? skipped('not needed: the Instance was applied on this cluster');
  return connectionHop(facts.platform, facts.now);
}

export function connectionHop(platform: PlatformFacts, now: Date): Hop {
  const { dataPlane } = platform;
  // What it says of the link is as old as its leader.
  const unled = firstShardFailure({ platform, now });
  if (unled) return unled;
  if (!isSeen(dataPlane)) return unknown('you may not read the DataPlane');
  const look = [`kubectl get dataplane ${DATA_PLANE_NAME} -o wide`];
  if (!dataPlane.value)
    return failed({
      object: `DataPlane/${DATA_PLANE_NAME}`,
      what: 'the operator has not made it yet',
      remedy: 'look at the log of the operator',
      audience: 'operator',
      look,
      events: [],
    });
  for (const type of ['Joined', 'FeedConnected'] as const) {
    const condition = conditionOf(dataPlane.value, type);
    if (condition?.status === 'False')
      return failed(
        findingOf(dataPlane.value, condition, {
          audience: 'operator',
          why: `since ${age(condition.lastTransitionTime, now)}; what runs keeps running, but no change arrives here`,
          look: condition.reason === 'Disconnected' ? [...look, addressCommand(platform)] : look,
        }),
      );
  }
  const connected = conditionOf(dataPlane.value, 'FeedConnected');
  if (!connected) return untold('the operator has not said yet whether it is connected');
  return ok(`connected, revision ${dataPlane.value.status?.cursor ?? '0'}`);
}

/** Prints the address of the control plane that the operator was given, as FELUCCA_API_URL. */
const addressCommand = ({ operatorNamespace }: PlatformFacts): string =>
  `kubectl set env deployment/felucca-operator -n ${operatorNamespace} --list`;

/** The control plane orders another one under the name of what was applied here. */
function nameIsWanted({ platform, instance }: InstanceFacts): Hop | undefined {
  const finding = refusal(platform, instance, {
    why: 'the control plane orders an Instance of this name; this one was applied on this cluster, and stays',
    remedy: 'give one of the two another name: delete this one, or the order',
  });
  return finding && failed(finding);
}

/** What the control plane says of this object now is not followed here. */
export const refusedRow = (platform: PlatformFacts, object: KubeObject): Finding | undefined =>
  refusal(platform, object, {
    why: 'what was applied last stays as it is, and the newest row of the control plane is not followed',
    remedy:
      'look at the row and its reason in the control plane: GET /v1/data-planes/<name>/refused-rows; with SignatureInvalid or DigestMismatch somebody else writes to its database',
  });

/** As the DataPlane tells it; undefined where it names no row of this object. */
function refusal(
  platform: PlatformFacts,
  { kind, metadata: { namespace, name } }: KubeObject,
  told: Pick<Finding, 'why' | 'remedy'>,
): Finding | undefined {
  const dataPlane = seenValue(platform.dataPlane);
  const refused = conditionOf(dataPlane, 'RowsRefused');
  if (!dataPlane || !refused?.message.includes(`${kind} ${namespace ? `${namespace}/` : ''}${name} (`))
    return undefined;
  const look = [`kubectl get dataplane ${DATA_PLANE_NAME} -o yaml`];
  return findingOf(dataPlane, refused, { ...told, audience: 'operator', look });
}

/** The deletion of this object waits for a person. */
export function heldDeletion(platform: PlatformFacts, object: InstanceObject | TenantObject): Finding {
  const told = conditionOf(object, 'DeletionBlocked');
  const held =
    told?.reason === 'DeletionHeld' ? told : conditionOf(seenValue(platform.dataPlane), 'DeletionBlocked');
  const id = object.status?.desired?.id ?? object.metadata.annotations?.[ANNOTATIONS.id] ?? '<id>';
  return findingOf(
    object,
    { reason: 'DeletionHeld', message: HELD },
    {
      ...(held ? { why: held.message } : {}),
      audience: 'operator',
      remedy: `find out who deleted; if it is meant: felucca admin release <data plane> ${id} --yes; if not: felucca admin reject <data plane> ${id}. Without the control plane only all can be released: kubectl annotate dataplane ${DATA_PLANE_NAME} ${ANNOTATIONS.releaseDeletions}=<your name>`,
      look: ['felucca admin held', `kubectl get dataplane ${DATA_PLANE_NAME} -o yaml`],
    },
  );
}
