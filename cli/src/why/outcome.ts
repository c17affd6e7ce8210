import {
  type Condition,
  changer,
  counted,
  type InstanceObject,
  inventoryOf,
  REMEDIES,
} from '@felucca/contract';
import { type ChildDifference, differences, type LiveChildren } from '../diff/differences.ts';
import { conditionOf } from '../facts/conditions.ts';
import type { InstanceFacts } from '../facts/instance.ts';
import { isOwned, resumeText } from '../facts/ownership.ts';
import { SUSPENDED } from '../facts/told.ts';
import { age } from '../show/age.ts';
import { type Finding, failed, findingOf, type Hop, ok, untold } from './finding.ts';

/** What the operator reports, and what `diff` finds now: a change may be younger than the operator's last look. */
export function driftHop(facts: InstanceFacts): Hop {
  const { instance, now } = facts;
  const drift = conditionOf(instance, 'DriftDetected');
  const look = [`felucca diff ${instance.metadata.name} -n ${instance.metadata.namespace}`];
  if (drift?.status === 'True')
    return failed(
      findingOf(instance, drift, {
        ...whyDrifted(instance, drift),
        look,
      }),
    );
  const differing = differingNow(facts);
  if (!differing)
    return ok(
      drift
        ? `${drift.message} (the operator says so for ${age(drift.lastTransitionTime, now)})`
        : 'none was ever seen',
    );
  const [first] = differing;
  return first
    ? failed({ ...differenceFinding(first, instance), look, events: [] })
    : ok(
        facts.children.some(({ entry }) => entry.kind === 'Secret')
          ? 'owned fields are as desired; those of Secrets are not read here'
          : 'owned fields are as desired',
      );
}

/** The newest record; that a volume goes the message says itself. */
function whyDrifted({ status }: InstanceObject, { reason }: Condition): Partial<Finding> {
  const [newest] = status?.drift ?? [];
  if (!newest || reason === 'VolumeGoing') return {};
  const { object, path, expected, actual, manager, detectedAt } = newest;
  if (path === '') return { why: `${object} was deleted, as was found at ${detectedAt}` };
  return {
    why: `${object} ${path}: expected ${expected}, found ${actual}, changed by ${changer(manager)} at ${detectedAt}`,
  };
}

/** Children with fields that the operator would not leave alone; undefined where what is desired is hidden. */
function differingNow({ instance, product, children }: InstanceFacts): ChildDifference[] | undefined {
  if (!product) return undefined;
  const live: LiveChildren = new Map(
    children.map(({ entry, live: seen }) => [
      entry.name,
      entry.kind === 'Secret' ? { hidden: 'only its metadata is read' } : seen,
    ]),
  );
  return differences(instance, product, inventoryOf(instance), live)
    .map((child) => ({ ...child, fields: child.fields.filter(({ policy }) => policy !== 'ignore') }))
    .filter(({ fields }) => fields.length > 0);
}

function differenceFinding({ object, note, refusal, fields }: ChildDifference, { metadata }: InstanceObject) {
  const { name, namespace } = metadata;
  const changed = fields.find(({ manager }) => manager !== undefined);
  const why = changed ? `${changed.path} was changed by ${changed.manager}` : note;
  const remedy = fields.every(({ policy }) => policy === 'report')
    ? REMEDIES.DriftReported!.text
    : refusal !== undefined
      ? `the operator does not set it back: ${refusal}`
      : `the operator sets it back when it looks next; now: felucca reconcile ${name} -n ${namespace}`;
  return {
    object,
    what: `${counted(fields.length, 'owned field is', 'owned fields are')} not as desired: ${fields.map(({ path }) => path).join(', ')}`,
    ...(why ? { why } : {}),
    remedy,
  };
}

/** The operator's own verdict, which closes the walk. */
export function readyHop({ instance }: InstanceFacts): Hop {
  const ready = conditionOf(instance, 'Ready');
  if (!ready) return untold('the operator has not said so yet');
  if (ready.status === 'True') return ok(ready.message);
  if (ready.reason !== 'Suspended') return failed(findingOf(instance, ready));
  return failed(
    isOwned(instance)
      ? findingOf(instance, { ...ready, message: SUSPENDED }, { remedy: resumeText(instance) })
      : findingOf(instance, ready, { look: [resumeText(instance)] }),
  );
}
