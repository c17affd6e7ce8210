import {
  counted,
  type InstanceObject,
  inventoryOf,
  type LiveObject,
  type PlannedChild,
} from '@felucca/contract';
import {
  type ChildDifference,
  differences,
  type FieldLine,
  isDifference,
  type LiveChildren,
  leaving,
} from '../diff/differences.ts';
import { withReferences } from '../diff/references.ts';
import { productOf } from '../facts/product.ts';
import { EXIT } from '../failure.ts';
import type { Kube } from '../kube/client.ts';
import { ifAllowed, type Seen } from '../kube/errors.ts';
import { findInstance } from '../kube/find-instance.ts';
import { readBlueprint } from '../kube/read-blueprint.ts';
import { age } from '../show/age.ts';
import { type Answer, show } from '../show/output.ts';
import type { Paint } from '../show/paint.ts';
import { table } from '../show/table.ts';
import type { Context } from './context.ts';
import { missingLeader } from './wait.ts';

/** Exit code 1 when something is not as desired, as `diff` does. */
export async function diffCommand(context: Context, name: string): Promise<number> {
  const { kube, terminal } = context;
  const instance = await findInstance(kube, name, context.namespace);
  const children = instance.metadata.deletionTimestamp
    ? leaving(instance, inventoryOf(instance), await liveChildren(kube, instance, []))
    : await differingChildren(kube, instance);
  const isLed = (await missingLeader(context, instance)) === undefined;
  await show(terminal, context.format, diffAnswer(instance, children, context.paint, terminal.now(), isLed));
  return children.some(isDifference) ? EXIT.wrong : EXIT.ok;
}

async function differingChildren(kube: Kube, instance: InstanceObject): Promise<ChildDifference[]> {
  const blueprint = await readBlueprint(kube, instance.spec?.blueprintRef);
  const { namespace = '' } = instance.metadata;
  const product = await withReferences(kube, productOf(blueprint, instance), namespace);
  const live = await liveChildren(kube, instance, product.planned);
  return differences(instance, product, inventoryOf(instance), live);
}

/** What has the names of the children that are there or wanted. */
async function liveChildren(
  kube: Kube,
  instance: InstanceObject,
  planned: readonly PlannedChild[],
): Promise<LiveChildren> {
  const { namespace = '' } = instance.metadata;
  const kinds = new Map(
    [...planned.map(({ name, compiled }) => ({ name, kind: compiled.kind })), ...inventoryOf(instance)].map(
      ({ name, kind }) => [name, kind],
    ),
  );
  return new Map(
    await Promise.all(
      [...kinds].map(
        async ([name, kind]): Promise<[string, Seen<LiveObject | undefined>]> => [
          name,
          await ifAllowed(kube.get(kind, namespace, name)),
        ],
      ),
    ),
  );
}

const SIGNS: Record<ChildDifference['state'], string> = {
  same: '=',
  'left alone': '≈',
  differs: '~',
  missing: '+',
  waiting: '…',
  foreign: '!',
  hidden: '?',
  'left over': '-',
  leaving: '-',
};

export function diffAnswer(
  instance: InstanceObject,
  children: readonly ChildDifference[],
  paint: Paint,
  now: Date,
  isLed = true,
): Answer {
  const { namespace, name, deletionTimestamp } = instance.metadata;
  return {
    data: { instance: `${namespace}/${name}`, children },
    names: children.filter(isDifference).map(({ object }) => object.toLowerCase()),
    text: (wide) => {
      const head = deletionTimestamp
        ? `Instance ${namespace}/${name} is being deleted: nothing is desired of its children\n`
        : `Instance ${namespace}/${name}: ${headText(children)}\n`;
      const shown = wide ? children : children.filter(({ state }) => state !== 'same');
      const lines = shown.map((child) => childText(child, paint, now, isLed)).join('');
      return lines === '' ? head : `${head}\n${lines}`;
    },
  };
}

/** What is not as desired; and what may be, or need not be. */
function headText(children: readonly ChildDifference[]): string {
  const differing = children.filter(isDifference).length;
  const hidden = children.filter(({ state }) => state === 'hidden').length;
  const leftAlone = children.filter(({ state }) => state === 'left alone').length;
  const is = (count: number): string => (count === 1 ? 'is' : 'are');
  const all = counted(children.length, 'child', 'children');
  const alone = leftAlone > 0 ? [`of ${leftAlone} the Blueprint leaves alone what differs`] : [];
  if (differing > 0)
    return [
      `${differing} of ${all} ${is(differing)} not as desired`,
      ...(hidden > 0 ? [`${hidden} ${is(hidden)} hidden from you`] : []),
      ...alone,
    ].join('; ');
  if (hidden > 0)
    return [
      'what you may see is as desired',
      `${hidden} of ${all} ${is(hidden)} hidden from you`,
      ...alone,
    ].join('; ');
  return [`${all} ${is(children.length)} as desired`, ...alone].join('; ');
}

function childText(child: ChildDifference, paint: Paint, now: Date, isLed: boolean): string {
  const { object, state, note, fields } = child;
  const tint = QUIET.includes(state) ? paint.dim : state === 'differs' ? paint.warn : paint.bad;
  const does: Record<FieldLine['policy'], string> = { ...DOES, correct: repairText(child, isLed) };
  const head = `${tint(`${SIGNS[state]} ${object}`)}${note ? `  ${note}` : ''}\n`;
  return (
    head +
    table(
      [],
      fields.map((field) => [
        `    ${field.path}`,
        `is ${value(field.actual)}`,
        `should be ${value(field.expected)}`,
        `${whoText(field, now)}${does[field.policy]}`,
      ]),
    )
  );
}

const QUIET: readonly ChildDifference['state'][] = ['same', 'left alone', 'leaving'];
const DOES = { report: 'it is reported only', ignore: 'it is left alone' };

function repairText({ refusal, isPaused }: ChildDifference, isLed: boolean): string {
  if (refusal !== undefined) return 'it stays as it is';
  if (!isLed) return 'it is set back once an operator leads';
  return isPaused ? 'it is set back within a minute: repairs are paused' : 'it is set back';
}

const whoText = ({ manager, at }: FieldLine, now: Date): string =>
  manager ? `changed by ${manager}${at ? ` ${age(at, now)} ago` : ''}; ` : '';

const MAX_VALUE = 120;
function value(of: unknown): string {
  if (of === undefined) return 'absent';
  const text = JSON.stringify(of);
  return text.length > MAX_VALUE ? `${text.slice(0, MAX_VALUE - 1)}…` : text;
}
