import { counted, type InstanceObject, LEASE_NAME, leaseName } from '@felucca/contract';
import { CLASSES, type Class, classOf } from '../facts/class.ts';
import { conditionOf } from '../facts/conditions.ts';
import { type PlatformFacts, platformFacts } from '../facts/platform.ts';
import { toldOf } from '../facts/told.ts';
import { EXIT, Failure } from '../failure.ts';
import { isSeen, KubeError, seenValue } from '../kube/errors.ts';
import { age } from '../show/age.ts';
import { type Answer, show, withoutManagedFields } from '../show/output.ts';
import type { Paint } from '../show/paint.ts';
import { table } from '../show/table.ts';
import { FIRST_SHARD, shardHop } from '../why/platform.ts';
import type { Context } from './context.ts';

/** The data plane, then one line per Instance, what is not as it should be first. */
export async function statusCommand(context: Context): Promise<number> {
  const { kube, terminal, namespace } = context;
  const [platform, instances] = await Promise.all([
    platformFacts(kube, context.operatorNamespace),
    kube
      .list<InstanceObject>('Instance', namespace, { labelSelector: context.selector })
      .catch((error: unknown) => {
        if (namespace !== undefined || !(error instanceof KubeError) || error.status !== 403) throw error;
        throw new Failure(
          'you may not list the Instances of all namespaces',
          'say which with -n <namespace>',
          error,
        );
      }),
  ]);
  await show(terminal, context.format, statusAnswer(platform, instances, context.paint, terminal.now()));
  return EXIT.ok;
}

export function statusAnswer(
  platform: PlatformFacts,
  instances: readonly InstanceObject[],
  paint: Paint,
  now: Date,
): Answer {
  const rows = instances
    .map((instance) => ({ instance, class: classOf(instance) }))
    .toSorted(
      (a, b) =>
        CLASSES.indexOf(a.class) - CLASSES.indexOf(b.class) ||
        nameOf(a.instance).localeCompare(nameOf(b.instance)),
    );
  const dataPlane = seenValue(platform.dataPlane);
  return {
    data: {
      dataPlane: dataPlane ? withoutManagedFields(dataPlane) : null,
      operators: platform.leases.map((lease, shard) => ({
        lease: leaseName(LEASE_NAME, shard, platform.leases.length),
        ...seenValue(lease)?.spec,
      })),
      instances: rows.map(({ instance, class: state }) => summary(instance, state)),
    },
    names: rows.map(({ instance }) => `instance.felucca.dev/${instance.metadata.name}`),
    text: (wide) =>
      [
        platformText(platform, paint, now),
        rows.length === 0
          ? 'No Instances.\n'
          : `${countText(rows)}\n\n${instancesText(rows, wide, paint, now)}`,
      ].join(''),
  };
}

const nameOf = ({ metadata }: InstanceObject): string => `${metadata.namespace}/${metadata.name}`;

function summary(instance: InstanceObject, state: Class) {
  const told = toldOf(instance);
  return {
    namespace: instance.metadata.namespace,
    name: instance.metadata.name,
    blueprint: instance.spec?.blueprintRef.name,
    version: instance.spec?.blueprintRef.version,
    state,
    ready: conditionOf(instance, 'Ready')?.status ?? 'Unknown',
    reason: told?.reason ?? '',
    message: told?.message ?? '',
    since: told?.since,
    driftCount: instance.status?.driftCount ?? 0,
    createdAt: instance.metadata.creationTimestamp,
  };
}

function platformText(platform: PlatformFacts, paint: Paint, now: Date): string {
  const dataPlane = seenValue(platform.dataPlane);
  const held = conditionOf(dataPlane, 'DeletionBlocked');
  const refused = conditionOf(dataPlane, 'RowsRefused');
  const rows = [
    ...platform.leases.map((_, shard) => [
      shard === 0 ? 'Operator' : '',
      operatorText(platform, shard, now, paint),
    ]),
    [
      'Link',
      isSeen(platform.dataPlane) ? linkText(platform, now, paint) : 'hidden: you may not read the DataPlane',
    ],
    ['Held', held?.status === 'True' ? paint.bad(held.message) : undefined],
    ['Refused', refused?.status === 'True' ? paint.bad(refused.message) : undefined],
  ];
  return table(
    [],
    rows.flatMap(([title = '', text]) => (text === undefined ? [] : [[paint.strong(title), text]])),
  );
}

function operatorText(platform: PlatformFacts, shard: number, now: Date, paint: Paint): string {
  const hop = shardHop(platform, shard, now);
  // Told by who has the link.
  const version = shard === 0 ? seenValue(platform.dataPlane)?.status?.operatorVersion : undefined;
  const note = version ? `${hop.note}, version ${version}` : hop.note;
  return hop.state === 'failed' ? paint.bad(note) : note;
}

/** Told by the operator that leads the first shard: while none does, it is what the last one knew. */
function linkText(platform: PlatformFacts, now: Date, paint: Paint): string {
  const dataPlane = seenValue(platform.dataPlane);
  const { dataPlaneId, epoch, cursor } = dataPlane?.status ?? {};
  const isLed = shardHop(platform, FIRST_SHARD, now).state !== 'failed';
  const renewedAt = seenValue(platform.leases[FIRST_SHARD]!)?.spec?.renewTime;
  const told = renewedAt ? `, told ${age(renewedAt, now)} ago` : '';
  const say = (what: string, since: string): string =>
    isLed ? `${what} for ${age(since, now)}` : `last known: ${what}${told}`;
  const broken = (['Joined', 'FeedConnected'] as const)
    .map((type) => conditionOf(dataPlane, type))
    .find((condition) => condition?.status === 'False');
  if (broken)
    return (broken.reason === 'NotConfigured' ? paint.dim : paint.bad)(
      `${say(broken.reason, broken.lastTransitionTime)}: ${broken.message}`,
    );
  const connected = conditionOf(dataPlane, 'FeedConnected');
  if (!connected) return 'the operator has not said yet whether it is connected';
  // What it has not written yet it does not know, or has not compared.
  const known = [
    ...(epoch ? [`epoch ${epoch}`] : []),
    ...(cursor ? [`revision ${cursor}`] : []),
    ...(dataPlaneId ? [`data plane ${dataPlaneId}`] : []),
  ];
  return [say('connected', connected.lastTransitionTime), ...known].join(', ');
}

const BAD: readonly Class[] = ['held', 'stalled', 'failed'];

interface Row {
  instance: InstanceObject;
  class: Class;
}

function countText(rows: readonly Row[]): string {
  const counts = CLASSES.flatMap((name) => {
    const count = rows.filter((row) => row.class === name).length;
    return count > 0 ? [`${count} ${name}`] : [];
  });
  return `\n${counted(rows.length, 'Instance')}: ${counts.join(', ')}`;
}

function instancesText(rows: readonly Row[], wide: boolean, paint: Paint, now: Date): string {
  const header = [
    'NAMESPACE',
    'NAME',
    'BLUEPRINT',
    'READY',
    'REASON',
    'AGE',
    ...(wide ? ['DRIFT', 'ID'] : []),
    'MESSAGE',
  ];
  return table(
    header,
    rows.map(({ instance, class: state }) => {
      const { namespace, name, blueprint, version, ready, reason, message, driftCount } = summary(
        instance,
        state,
      );
      const tint = state === 'ready' ? paint.good : BAD.includes(state) ? paint.bad : paint.warn;
      const isNews = state === 'deleting' || state === 'unhandled';
      return [
        namespace ?? '',
        name,
        `${blueprint} ${version}`,
        tint(ready),
        isNews ? state : reason,
        age(instance.metadata.creationTimestamp, now),
        ...(wide ? [String(driftCount), instance.status?.desired?.id ?? 'local'] : []),
        message,
      ];
    }),
  );
}
