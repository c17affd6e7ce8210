import { counted, type InstanceObject, inventoryOf, type LiveObject } from '@felucca/contract';
import { type ChildDifference, differences, type FieldLine } from '../diff/differences.ts';
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

/** Exit code 1 when something differs, as `diff` does. */
export async function diffCommand(context: Context, name: string): Promise<number> {
  const { kube, terminal } = context;
  const instance = await findInstance(kube, name, context.namespace);
  const product = productOf(await readBlueprint(kube, instance.spec?.blueprintRef), instance);
  const { namespace = '' } = instance.metadata;
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
  return children.some(({ state }) => state !== 'same' && state !== 'hidden') ? EXIT.wrong : EXIT.ok;
}

const SIGNS: Record<ChildDifference['state'], string> = {
  same: '=',
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
  const differing = children.filter(({ state }) => state !== 'same');
  return {
    data: { instance: `${namespace}/${name}`, children },
    names: differing.map(({ object }) => object.toLowerCase()),
    text: (wide) => {
      const head =
        differing.length === 0
          ? `Instance ${namespace}/${name}: ${counted(children.length, 'child is', 'children are')} as desired\n`
          : `Instance ${namespace}/${name}: ${differing.length} of ${counted(children.length, 'child', 'children')} ${differing.length === 1 ? 'is' : 'are'} not as desired\n`;
      const shown = wide ? children : differing;
      const lines = shown.map((child) => childText(child, paint, now)).join('');
      return lines === '' ? head : `${head}\n${lines}`;
    },
  };
}

function childText({ object, state, note, fields }: ChildDifference, paint: Paint, now: Date): string {
  const tint = state === 'same' ? paint.dim : state === 'differs' ? paint.warn : paint.bad;
  const head = `${tint(`${SIGNS[state]} ${object}`)}${note ? `  ${note}` : ''}\n`;
  return (
    head +
    table(
      [],
      fields.map((field) => [
        `    ${field.path}`,
        `is ${value(field.actual)}`,
        `should be ${value(field.expected)}`,
        whoText(field, now),
      ]),
    )
  );
}

const DOES: Record<FieldLine['policy'], string> = {
  correct: 'it is set back',
  report: 'it is reported only',
  ignore: 'it is left alone',
};

function whoText({ manager, at, policy }: FieldLine, now: Date): string {
  const by = manager ? `changed by ${manager}${at ? ` ${age(at, now)} ago` : ''}; ` : '';
  return `${by}${DOES[policy]}`;
}

const MAX_VALUE = 120;
function value(of: unknown): string {
  if (of === undefined) return 'absent';
  const text = JSON.stringify(of);
  return text.length > MAX_VALUE ? `${text.slice(0, MAX_VALUE - 1)}…` : text;
}
