import { counted, type InstanceObject, inventoryOf, type LiveObject } from '@felucca/contract';
import { type ChildDifference, differences, type FieldLine, isDifference } from '../diff/differences.ts';
import { withReferences } from '../diff/references.ts';
import { productOf } from '../facts/product.ts';
import { EXIT } from '../failure.ts';
import { ifAllowed, type Seen } from '../kube/errors.ts';
import { findInstance } from '../kube/find-instance.ts';
import { readBlueprint } from '../kube/read-blueprint.ts';
import { age } from '../show/age.ts';
import { type Answer, show } from '../show/output.ts';
import type { Paint } from '../show/paint.ts';
import { table } from '../show/table.ts';
import type { Context } from './context.ts';

/** Exit code 1 when something is not as desired, as `diff` does. */
export async function diffCommand(context: Context, name: string): Promise<number> {
  const { kube, terminal } = context;
  const instance = await findInstance(kube, name, context.namespace);
  const { namespace = '' } = instance.metadata;
  const blueprint = await readBlueprint(kube, instance.spec?.blueprintRef);
  const product = await withReferences(kube, productOf(blueprint, instance), namespace);
  const inventory = inventoryOf(instance);
  const wanted = new Map(
    [
      ...product.planned.map(({ name: child, compiled }) => ({ name: child, kind: compiled.kind })),
      ...inventory,
    ].map(({ name: child, kind }) => [child, kind]),
  );
  const live = new Map(
    await Promise.all(
      [...wanted].map(
        async ([child, kind]): Promise<[string, Seen<LiveObject | undefined>]> => [
          child,
          await ifAllowed(kube.get(kind, namespace, child)),
        ],
      ),
    ),
  );
  const children = differences(instance, product, inventory, live);
  await show(terminal, context.format, diffAnswer(instance, children, context.paint, terminal.now()));
  return children.some(isDifference) ? EXIT.wrong : EXIT.ok;
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
};

export function diffAnswer(
  instance: InstanceObject,
  children: readonly ChildDifference[],
  paint: Paint,
  now: Date,
): Answer {
  const { namespace, name } = instance.metadata;
  return {
    data: { instance: `${namespace}/${name}`, children },
    names: children.filter(isDifference).map(({ object }) => object.toLowerCase()),
    text: (wide) => {
      const head = `Instance ${namespace}/${name}: ${headText(children)}\n`;
      const shown = wide ? children : children.filter(({ state }) => state !== 'same');
      const lines = shown.map((child) => childText(child, paint, now)).join('');
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

function childText(child: ChildDifference, paint: Paint, now: Date): string {
  const { object, state, note, refusal, fields } = child;
  const tint =
    state === 'same' || state === 'left alone' ? paint.dim : state === 'differs' ? paint.warn : paint.bad;
  const head = `${tint(`${SIGNS[state]} ${object}`)}${note ? `  ${note}` : ''}\n`;
  return (
    head +
    table(
      [],
      fields.map((field) => [
        `    ${field.path}`,
        `is ${value(field.actual)}`,
        `should be ${value(field.expected)}`,
        whoText(field, refusal !== undefined, now),
      ]),
    )
  );
}

const DOES: Record<FieldLine['policy'], string> = {
  correct: 'it is set back',
  report: 'it is reported only',
  ignore: 'it is left alone',
};

function whoText({ manager, at, policy }: FieldLine, isRefused: boolean, now: Date): string {
  const by = manager ? `changed by ${manager}${at ? ` ${age(at, now)} ago` : ''}; ` : '';
  return `${by}${isRefused && policy === 'correct' ? 'it stays as it is' : DOES[policy]}`;
}

const MAX_VALUE = 120;
function value(of: unknown): string {
  if (of === undefined) return 'absent';
  const text = JSON.stringify(of);
  return text.length > MAX_VALUE ? `${text.slice(0, MAX_VALUE - 1)}…` : text;
}
