import {
  ANNOTATIONS,
  type ChildState,
  type Condition,
  type ConditionInput,
  counted,
  type InstanceObject,
  isControlled,
  type PodFailure,
  type Reason,
  setCondition,
  tellFailure,
  withoutCondition,
} from '@felucca/contract';
import type { Failure } from '../failure.ts';
import { ownConditions } from '../status-writer.ts';

/** What one node looks like from outside. */
export interface NodeState extends ChildState {
  /** `<Kind>/<name>` */
  object: string;
}

export interface InstanceFacts {
  /** Nothing helps until somebody changes something. */
  stalled?: { reason: Reason; message: string };
  /** Something outside the Instance is not there yet and comes by itself. */
  notYet?: { reason: Reason; message: string };
  /** The reconcile failed: nothing else is known of this look. */
  failure?: Failure;
  waiting: { node: string; field: string }[];
  nodes: NodeState[];
  podFailures: PodFailure[];
  suspended: boolean;
  drift?: { status: 'True' | 'False'; reason: Reason; message: string };
  deletion?: { message: string; blocked?: string };
  /** What keeps a child from going that the Instance does not want any more. */
  leftOver?: string;
}

/** Four of them carry the same text, and all of a status stays below 32 KiB. */
export const MAX_MESSAGE = 1024;

/** The conditions of an Instance, derived from facts; kstatus reads the same from them as we mean. */
export function instanceConditions(instance: InstanceObject, facts: InstanceFacts, now: Date): Condition[] {
  const generation = instance.metadata.generation ?? 0;
  let conditions: readonly Condition[] = ownConditions(instance);
  const set = (input: ConditionInput): void => {
    const message = input.message.slice(0, MAX_MESSAGE);
    conditions = setCondition(conditions, { ...input, message }, generation, now);
  };
  const drop = (type: ConditionInput['type']): void => {
    conditions = withoutCondition(conditions, type);
  };

  const ready = stillReady(instance, facts) ?? readyCondition(facts);
  set({ type: 'Ready', ...ready });
  const { reason, message } = facts.failure ?? facts.notYet ?? ready;
  if (facts.failure || inFlight(facts, ready)) set({ type: 'Reconciling', status: 'True', reason, message });
  else drop('Reconciling');
  if (facts.stalled) set({ type: 'Stalled', status: 'True', ...facts.stalled });
  else drop('Stalled');
  if (facts.drift) set({ type: 'DriftDetected', ...facts.drift });
  // Nobody has compared: what an earlier look found may be over.
  else drop('DriftDetected');
  const blocked = facts.deletion?.blocked ?? facts.leftOver;
  if (blocked) set({ type: 'DeletionBlocked', status: 'True', reason: 'ChildStillExists', message: blocked });
  else if (instance.metadata.annotations?.[ANNOTATIONS.heldDeletion] !== undefined)
    set({
      type: 'DeletionBlocked',
      status: 'True',
      reason: 'DeletionHeld',
      message: `the control plane asks for the deletion of this Instance, and it waits${whyHeld(instance)}; release or reject it there (felucca admin held, or /v1/data-planes/<name>/held-deletions)`,
    });
  else drop('DeletionBlocked');
  if (!isControlled(instance))
    set({
      type: 'Synced',
      status: 'True',
      reason: 'Local',
      message: 'applied on this cluster, not by a control plane',
    });
  return [...conditions];
}

/** As sync/deletions.ts wrote it down. */
function whyHeld({ metadata }: InstanceObject): string {
  const held = metadata.annotations?.[ANNOTATIONS.heldDeletion] ?? '';
  return held.includes('"cause":"epoch"')
    ? ' until everything has been compared, because it came under a new epoch'
    : ' for a person, because it exceeds the deletion budget of this data plane';
}

type Ready = Pick<ConditionInput, 'status' | 'reason' | 'message'>;
const notReady = (reason: Reason, message: string): Ready => ({ status: 'False', reason, message });

/**
 * Who uses a ready Instance loses nothing by a request of ours that has to be repeated, nor by an edit that nobody follows;
 * `Reconciling` tells of it.
 */
function stillReady(
  { metadata, status }: InstanceObject,
  { failure, notYet }: InstanceFacts,
): Ready | undefined {
  const isEdited = notYet?.reason === 'SpecEdited';
  if (!(failure?.isPassing || isEdited) || metadata.deletionTimestamp) return undefined;
  const ready = status?.conditions?.find(({ type }) => type === 'Ready');
  const isCurrent = isEdited || ready?.observedGeneration === metadata.generation;
  return ready?.status === 'True' && isCurrent ? { ...ready, reason: ready.reason as Reason } : undefined;
}

function readyCondition(facts: InstanceFacts): Ready {
  if (facts.failure) return notReady(facts.failure.reason, facts.failure.message);
  if (facts.deletion) return notReady('Deleting', facts.deletion.blocked ?? facts.deletion.message);
  if (facts.stalled) return notReady(facts.stalled.reason, facts.stalled.message);
  if (facts.notYet) return notReady(facts.notYet.reason, facts.notYet.message);
  const failed = facts.nodes.find((node) => node.state === 'failed');
  const [failure] = facts.suspended ? [] : facts.podFailures;
  if (failed) {
    const what = `${failed.object}: ${failed.reason ? `${failed.reason}: ` : ''}${failed.message}`;
    // A rollout that gave up, or a deadline, says only that: its pods say why.
    const why =
      failure && (failed.isLate || failed.audience === undefined) ? `; ${tellFailure(failure)}` : '';
    return notReady('ChildFailed', `${what}${why}${forWhom(failed.audience ?? failure?.audience)}`);
  }
  const progressing = facts.nodes.filter((node) => node.state === 'progressing');
  if (failure?.certain) return notReady('ChildFailed', `${tellFailure(failure)}${forWhom(failure.audience)}`);
  const [waiting] = facts.waiting;
  if (waiting && progressing.length === 0)
    return notReady('WaitingForField', `node "${waiting.node}" waits for ${waiting.field}`);
  const [first] = progressing;
  if (first) {
    const more = progressing.length > 1 ? ` (and ${progressing.length - 1} more)` : '';
    const why = failure ? `; ${tellFailure(failure)}` : '';
    return notReady('ChildrenProgressing', `${first.object}: ${first.message}${more}${why}`);
  }
  if (facts.suspended)
    return notReady(
      'Suspended',
      'workloads are scaled to zero and data is kept; set spec.suspend to false to resume',
    );
  const message = counted(facts.nodes.length, 'child is ready', 'children are ready');
  return { status: 'True', reason: 'AllChildrenReady', message };
}

const forWhom = (audience: 'tenant' | 'operator' | undefined): string =>
  audience === undefined ? '' : ` (for the ${audience})`;

const IN_FLIGHT: Reason[] = ['ChildrenProgressing', 'WaitingForField', 'Deleting'];
const inFlight = (facts: InstanceFacts, ready: Ready): boolean =>
  !facts.stalled && (facts.notYet !== undefined || IN_FLIGHT.includes(ready.reason));
