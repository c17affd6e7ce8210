import {
  ANNOTATIONS,
  counted,
  explained,
  type InstanceObject,
  type PodFailure,
  podFailures,
  REMEDIES,
  stuckObject,
} from '@felucca/contract';
import type { ChildFacts } from '../facts/children.ts';
import { conditionOf } from '../facts/conditions.ts';
import { aboutOf, type EventLine, foldRepeats, lineOf } from '../facts/events.ts';
import type { InstanceFacts } from '../facts/instance.ts';
import { plannedOf } from '../facts/product.ts';
import { isSeen, seenValue } from '../kube/errors.ts';
import { age } from '../show/age.ts';
import { verdictOf } from './definition.ts';
import { briefly, type Finding, failed, findingOf, type Hop, ok, skipped, unknown } from './finding.ts';

const MAX_EVENTS = 3;
/** Verdicts about making children, which say themselves which one. */
const PLAN_REASONS = [
  'NameConflict',
  'ApplyRejected',
  'ChangeImpossible',
  'ReplaceRefused',
  'GeneratedValueLost',
  'ExpressionFailed',
  'WaitingForField',
];

/** What the Blueprint makes of the parameters, and whether the API server takes it. */
export function planHop(facts: InstanceFacts): Hop {
  const { instance, children } = facts;
  const foreign = children.find((child) => child.isForeign);
  const verdict = verdictOf(facts);
  const ready = conditionOf(instance, 'Ready');
  if (verdict && PLAN_REASONS.includes(verdict) && ready) {
    const named = children.find(({ entry }) => ready.message.includes(`${entry.kind}/${entry.name}`));
    const events = named ? warningsAbout(facts, named) : [];
    return failed(
      findingOf(instance, ready, {
        audience: 'operator',
        look: foreign ? [getCommand(facts, foreign)] : [],
        events,
        ...quotaNote(facts, ready.message),
        ...(verdict === 'GeneratedValueLost' && named ? { remedy: regenerateText(instance, named) } : {}),
      }),
    );
  }
  if (children.length === 0) return ok('no children are planned');
  const there = children.filter(({ live }) => !isSeen(live) || live.value !== undefined).length;
  return ok(
    `${counted(children.length, 'child', 'children')} planned, ${there} ${there === 1 ? 'exists' : 'exist'}`,
  );
}

export function childHop(facts: InstanceFacts, child: ChildFacts): Hop {
  const { live, state } = child;
  if (!isSeen(live)) {
    // Few may read Secrets, and none of ours is ever more than there.
    const isMade = child.entry.kind === 'Secret' && child.entry.uid !== undefined;
    return isMade
      ? skipped('hidden from you, and made')
      : unknown(`you may not read ${child.entry.kind}s here`);
  }
  if (!state || state.state === 'ready') return ok(live.value ? 'ready' : '');
  return failed(childFinding(facts, child, state));
}

function childFinding(
  facts: InstanceFacts,
  child: ChildFacts,
  state: NonNullable<ChildFacts['state']>,
): Finding {
  const { kind, name } = child.entry;
  const { look = [describeCommand(facts, kind, name)], ...cause } = causeOf(facts, child, state);
  return {
    object: `${kind}/${name}`,
    ...(state.reason ? { reason: state.reason } : {}),
    what: state.reason ? `${state.reason}: ${state.message}` : state.message,
    ...cause,
    // Whom the Blueprint names can help, whatever keeps its pods: the status says so, too.
    ...(state.audience ? { audience: state.audience } : {}),
    look,
    events: warningsAbout(facts, child),
  };
}

/** Why it is not ready, and what to do: as near to the cause as can be seen. */
function causeOf(
  facts: InstanceFacts,
  child: ChildFacts,
  state: NonNullable<ChildFacts['state']>,
): Partial<Finding> {
  if (child.isLost) return lossOf(facts, child);
  const claim = child.claims.find((item) => item.status?.phase !== 'Bound');
  if (claim && !isBoundLater(facts, claim.metadata.uid))
    return {
      why: `its volume claim ${claim.metadata.name} is ${String(claim.status?.phase ?? 'Pending')}`,
      remedy:
        'the cluster needs a StorageClass or a volume that fits; the events of the claim say what is missing',
      audience: 'operator',
      look: [
        describeCommand(facts, 'PersistentVolumeClaim', claim.metadata.name),
        'kubectl get storageclass',
      ],
    };
  const failure = podFailureOf(facts, child);
  if (failure) {
    const namespace = facts.instance.metadata.namespace;
    return {
      why: failure.message,
      remedy: failure.remedy ?? 'the event says what is missing',
      audience: failure.audience,
      ...quotaNote(facts, failure.message),
      ...(failure.pod
        ? {
            look: [
              describeCommand(facts, 'Pod', failure.pod),
              `kubectl logs ${failure.pod} -n ${namespace} --all-containers --tail=50${failure.message.includes('CrashLoopBackOff') ? ' --previous' : ''}`,
            ],
          }
        : {}),
    };
  }
  const quota = quotaNote(facts, state.message);
  if (quota.remedy !== undefined) return quota;
  if (state.state === 'failed') return { remedy: 'correct what it says, or change the parameters' };
  const created = seenValue(child.live)?.metadata.creationTimestamp;
  return {
    why: created
      ? `it is ${age(created, facts.now)} old, and nothing has failed so far`
      : 'it has not been made yet',
    remedy: 'wait; if nothing moves for minutes, look at its events and at the log of its controller',
  };
}

/** What keeps its pods from running, as far as it is known. */
function podFailureOf(facts: InstanceFacts, { live, pods }: ChildFacts): PodFailure | undefined {
  const object = seenValue(live);
  const stuck = stuckObject(object ? [object] : [], pods, facts.now);
  return (
    podFailures(pods, facts.now)[0] ??
    (stuck ? explained(stuck, warningEvents(facts, stuck.metadata.uid)) : undefined)
  );
}

/** Of a child that somebody deleted: the operator makes it anew, but nothing that nobody knows any more. */
function lossOf({ instance, product }: InstanceFacts, { entry }: ChildFacts): Partial<Finding> {
  const { name, namespace, annotations } = instance.metadata;
  const keys = (plannedOf(product, entry)?.compiled.node.generate ?? []).map(({ key }) => key);
  const look = [`felucca events ${name} -n ${namespace}`];
  const mayRegenerate = annotations?.[ANNOTATIONS.regenerate] === entry.name;
  if (keys.length > 0 && !mayRegenerate)
    return {
      reason: 'GeneratedValueLost',
      why: `${keys.join(', ')} was generated into it and is gone with it; what uses it may know no other value, and so the operator makes none by itself`,
      remedy: regenerateText(instance, { entry }),
      audience: 'operator',
      look,
    };
  const unless =
    entry.kind === 'Secret' && !product ? ', unless its Blueprint generates a value into it' : '';
  return {
    why: `the operator makes it anew when it looks next${unless}`,
    remedy: `now: felucca reconcile ${name} -n ${namespace}`,
    look,
  };
}

const regenerateText = ({ metadata }: InstanceObject, { entry }: Pick<ChildFacts, 'entry'>): string =>
  REMEDIES.GeneratedValueLost!.text.replace('<name>', metadata.name)
    .replace('<namespace>', metadata.namespace ?? '')
    .replace('<secret>', entry.name);

/** The first child that has failed, or whose pods have, in one line; none of an Instance on its way out. */
export function knownFailure(facts: InstanceFacts): string | undefined {
  if (facts.instance.metadata.deletionTimestamp) return undefined;
  for (const child of facts.children) {
    const { state } = child;
    if (!state || state.state === 'ready') continue;
    if (state.state !== 'failed' && !podFailureOf(facts, child)) continue;
    return briefly(childFinding(facts, child, state));
  }
  return undefined;
}

/** With delayed binding a claim waits for its pod, and so the pod is what to look at. */
const isBoundLater = (facts: InstanceFacts, claimUid: string | undefined): boolean =>
  (seenValue(facts.events) ?? []).some(
    (event) => aboutOf(event).uid === claimUid && event.reason === 'WaitForFirstConsumer',
  );

/** A refusal by quota, with what is used up. */
function quotaNote(facts: InstanceFacts, message: string): Partial<Finding> {
  if (!message.includes('exceeded quota')) return {};
  const full = (seenValue(facts.quotas) ?? []).flatMap(({ metadata, status }) => {
    const hard = (status?.hard ?? {}) as Record<string, string>;
    const used = (status?.used ?? {}) as Record<string, string>;
    return Object.keys(hard)
      .filter((name) => used[name] === hard[name] && hard[name] !== '0')
      .map((name) => `${name} ${used[name]} of ${hard[name]} (quota ${metadata.name})`);
  });
  return {
    audience: 'tenant',
    remedy: "choose a smaller size, delete what is not needed, or have the Tenant's quota raised",
    ...(full.length > 0 ? { why: `used up: ${full.join(', ')}` } : {}),
  };
}

function warningEvents(facts: InstanceFacts, uid: string | undefined) {
  return (seenValue(facts.events) ?? []).filter(
    (event) => event.type === 'Warning' && aboutOf(event).uid === uid,
  );
}

/** Newest warnings about a child, what its controller made for it and its volumes, in the order in which they came. */
function warningsAbout(facts: InstanceFacts, { entry, claims }: ChildFacts): EventLine[] {
  const names = [entry.name, ...claims.map(({ metadata }) => metadata.name)];
  const lines = (seenValue(facts.events) ?? [])
    .filter((event) => {
      const { name, kind } = aboutOf(event);
      return (
        event.type === 'Warning' &&
        kind !== 'Instance' &&
        (names.includes(name) || name.startsWith(`${entry.name}-`))
      );
    })
    .map(lineOf);
  return foldRepeats(lines).slice(-MAX_EVENTS);
}

const describeCommand = ({ instance }: InstanceFacts, kind: string, name: string): string =>
  `kubectl describe ${kind.toLowerCase()} ${name} -n ${instance.metadata.namespace}`;
const getCommand = ({ instance }: InstanceFacts, { entry }: ChildFacts): string =>
  `kubectl get ${entry.kind.toLowerCase()} ${entry.name} -n ${instance.metadata.namespace} -o yaml`;
