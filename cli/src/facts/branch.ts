import { counted, type InstanceObject, type LiveObject } from '@felucca/contract';
import { isSeen, seenValue } from '../kube/errors.ts';
import type { ChildFacts, ChildrenFacts } from './children.ts';
import { classOf } from './class.ts';
import { conditionOf, isTrue } from './conditions.ts';
import { aboutOf, lineOf } from './events.ts';
import { toldOf } from './told.ts';

/** One line of the tree. */
export interface Branch {
  /** `<Kind>/<name>` */
  object: string;
  state: 'ready' | 'progressing' | 'failed' | 'unknown' | 'deleting' | 'gone';
  message: string;
  createdAt?: string | undefined;
  /** Pointers of fields that somebody else changed. */
  drift: string[];
  branches: Branch[];
}

const STATE_OF: Record<ReturnType<typeof classOf>, Branch['state']> = {
  held: 'ready',
  stalled: 'failed',
  failed: 'failed',
  deleting: 'deleting',
  unhandled: 'unknown',
  'in progress': 'progressing',
  drifted: 'ready',
  suspended: 'ready',
  ready: 'ready',
};

/** @param events of its namespace, where a pod is stuck: nothing else tells why it does not start */
export function branchOf({ instance, children }: ChildrenFacts, events: readonly LiveObject[] = []): Branch {
  const ready = conditionOf(instance, 'Ready');
  const told = toldOf(instance);
  const { name = '', version = '' } = instance.spec?.blueprintRef ?? {};
  // What was reported once may be settled since.
  const drift = isTrue(instance, 'DriftDetected') ? (instance.status?.drift ?? []) : [];
  const refusals = refusalsOf(instance);
  /** Where a child is the cause, its own line says so. */
  const isToldBelow =
    told?.reason === ready?.reason &&
    (ready?.status === 'True' ||
      refusals.size > 0 ||
      children.some(({ state: of }) => of && of.state !== 'ready'));
  return {
    object: `Instance/${instance.metadata.name}`,
    state: STATE_OF[classOf(instance)],
    message: [
      `${name} ${version}`,
      told?.reason ?? 'not handled yet',
      ...(isToldBelow || !told ? [] : [told.message]),
    ].join(': '),
    createdAt: instance.metadata.creationTimestamp,
    drift: [],
    branches: children.map((child) =>
      goneOrNot(childBranch(child, drift, refusals, events), child, instance),
    ),
  };
}

/** Of an Instance on its way out: what is gone makes no progress any more. */
function goneOrNot(branch: Branch, { live }: ChildFacts, { metadata }: InstanceObject): Branch {
  const isGone = metadata.deletionTimestamp !== undefined && isSeen(live) && live.value === undefined;
  return isGone ? { ...branch, state: 'gone', message: '' } : branch;
}

/** What the API server said about children that it did not take, by `<Kind>/<name>`, as the operator tells it. */
function refusalsOf(instance: InstanceObject): ReadonlyMap<string, string> {
  const stalled = conditionOf(instance, 'Stalled');
  if (stalled?.status !== 'True' || stalled.reason !== 'ApplyRejected') return new Map();
  return new Map(
    stalled.message.split(/; (?=\S+\/\S+ was refused: )/).flatMap((part): [string, string][] => {
      const [, object, why] = /^(\S+\/\S+) was refused: ([\s\S]*)$/.exec(part) ?? [];
      return object && why ? [[object, why]] : [];
    }),
  );
}

function childBranch(
  child: ChildFacts,
  drift: readonly { object: string; path: string; action: string }[],
  refusals: ReadonlyMap<string, string>,
  events: readonly LiveObject[],
): Branch {
  const { entry, live, state, isForeign, pods, claims } = child;
  const object = `${entry.kind}/${entry.name}`;
  const refusal = refusals.get(object);
  const isGoing = seenValue(live)?.metadata.deletionTimestamp !== undefined;
  return {
    object,
    state: refusal !== undefined ? 'failed' : isGoing ? 'deleting' : (state?.state ?? 'unknown'),
    message: isForeign
      ? 'not ours: another object has the name'
      : refusal !== undefined
        ? `refused: ${refusal}`
        : isSeen(live)
          ? (state?.message ?? '')
          : 'hidden from you',
    createdAt: seenValue(live)?.metadata.creationTimestamp,
    drift: drift
      .filter((record) => record.object === object && record.action === 'reported')
      .map(({ path }) => path || 'deleted')
      .filter((path, index, all) => all.indexOf(path) === index),
    branches: [...claims.map(claimBranch), ...pods.map((pod) => podBranch(pod, events))],
  };
}

function claimBranch(claim: LiveObject): Branch {
  const isGoing = claim.metadata.deletionTimestamp !== undefined;
  const phase = isGoing ? 'Terminating' : String(claim.status?.phase ?? 'Pending');
  const capacity = (claim.status?.capacity as Record<string, string> | undefined)?.storage;
  return {
    object: `PersistentVolumeClaim/${claim.metadata.name}`,
    state: isGoing ? 'deleting' : phase === 'Bound' ? 'ready' : phase === 'Lost' ? 'failed' : 'progressing',
    message: `${phase}${capacity ? ` ${capacity}` : ''}`,
    createdAt: claim.metadata.creationTimestamp,
    drift: [],
    branches: [],
  };
}

/** So every container begins. */
const STARTS = ['ContainerCreating', 'PodInitializing'];

/** As `kubectl get pods` says it: containers that are ready, and why others are not. */
function podBranch(pod: LiveObject, events: readonly LiveObject[]): Branch {
  type Container = {
    ready?: boolean;
    restartCount?: number;
    state?: { waiting?: { reason?: string }; terminated?: { reason?: string } };
  };
  const status = pod.status ?? {};
  const containers = (status.containerStatuses as Container[] | undefined) ?? [];
  const total = (pod.spec?.containers as unknown[] | undefined)?.length ?? containers.length;
  const ready = containers.filter((container) => container.ready).length;
  const restarts = containers.reduce((sum, container) => sum + (container.restartCount ?? 0), 0);
  const waiting = containers
    .map(({ state }) => state?.waiting?.reason ?? state?.terminated?.reason)
    .find((reason) => reason !== undefined && reason !== 'Completed');
  const phase = pod.metadata.deletionTimestamp ? 'Terminating' : String(status.phase ?? 'Pending');
  const isDone = phase === 'Succeeded';
  const why = waiting && STARTS.includes(waiting) ? newestWarning(pod, events) : undefined;
  return {
    object: `Pod/${pod.metadata.name}`,
    state:
      isDone || (ready === total && phase === 'Running')
        ? 'ready'
        : phase === 'Failed' || (waiting && !STARTS.includes(waiting))
          ? 'failed'
          : 'progressing',
    message: `${isDone ? '' : `${ready}/${total} `}${waiting ?? phase}${restarts > 0 ? `, ${counted(restarts, 'restart')}` : ''}${why ? `: ${why}` : ''}`,
    createdAt: pod.metadata.creationTimestamp,
    drift: [],
    branches: [],
  };
}

function newestWarning(pod: LiveObject, events: readonly LiveObject[]): string | undefined {
  const newest = events
    .filter((event) => event.type === 'Warning' && aboutOf(event).uid === pod.metadata.uid)
    .map(lineOf)
    .toSorted((a, b) => b.at.getTime() - a.at.getTime())[0];
  return newest && `${newest.reason}: ${newest.message}`;
}
