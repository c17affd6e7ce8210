import {
  counted,
  ExpressionProblem,
  type InstanceObject,
  organizationOf,
  type PlannedChange,
  planUpdate,
  policyOf,
} from '@felucca/contract';
import { wishedInstance } from '../diff/wished.ts';
import { type Product, productOf } from '../facts/product.ts';
import { EXIT, Failure } from '../failure.ts';
import { findInstance } from '../kube/find-instance.ts';
import { readBlueprint } from '../kube/read-blueprint.ts';
import { type Answer, show } from '../show/output.ts';
import type { Paint } from '../show/paint.ts';
import { table } from '../show/table.ts';
import type { Context } from './context.ts';

export interface PreviewFlags {
  with?: string[];
  blueprintVersion?: string;
}

/** What a change would do to each child; nothing is written. Exit code 1 when it would do something. */
export async function previewCommand(context: Context, name: string, flags: PreviewFlags): Promise<number> {
  const instance = await findInstance(context.kube, name, context.namespace);
  const { name: product = '', version = '' } = instance.spec?.blueprintRef ?? {};
  const [before, after] = await Promise.all([
    readBlueprint(context.kube, { name: product, version }),
    readBlueprint(context.kube, { name: product, version: flags.blueprintVersion ?? version }),
  ]);
  const wished = wishedInstance(instance, after, flags.with ?? []);
  const children = changesOf(instance, productOf(before, instance), wished, productOf(after, wished));
  const answer = previewAnswer(instance, children, wordsOf(flags), context.paint);
  await show(context.terminal, context.format, answer);
  return children.some(({ effect }) => effect !== 'unchanged') ? EXIT.wrong : EXIT.ok;
}

function changesOf(
  instance: InstanceObject,
  before: Product,
  wished: InstanceObject,
  after: Product,
): PlannedChange[] {
  const { name, namespace = '' } = instance.metadata;
  const version = ({ spec }: InstanceObject, { compiled, parameters }: Product) => ({
    blueprint: compiled,
    parameters,
    suspend: spec?.suspend ?? false,
    deletionPolicy: policyOf(spec),
  });
  try {
    const names = { organization: organizationOf(namespace) ?? namespace, name };
    return planUpdate(names, version(instance, before), version(wished, after));
  } catch (error) {
    if (!(error instanceof ExpressionProblem)) throw error;
    throw new Failure(`the Blueprint fails with these parameters: ${error.message}`, error.remedy);
  }
}

const wordsOf = ({ with: assignments = [], blueprintVersion }: PreviewFlags): string =>
  [...(blueprintVersion ? [`version ${blueprintVersion}`] : []), ...assignments].join(', ');

const EFFECTS: Record<PlannedChange['effect'], [sign: string, words: string]> = {
  unchanged: ['=', 'unchanged'],
  create: ['+', 'is made'],
  inPlace: ['~', 'changes in place'],
  restart: ['~', 'its pods are made anew'],
  replace: ['±', 'is deleted and made anew'],
  impossible: ['!', 'cannot be changed'],
  remove: ['-', 'is removed'],
};

export function previewAnswer(
  instance: InstanceObject,
  children: readonly PlannedChange[],
  change: string,
  paint: Paint,
): Answer {
  const { namespace, name } = instance.metadata;
  const changing = children.filter(({ effect }) => effect !== 'unchanged');
  const rows = children.map(({ child, effect, fields, unknown, refusal, loses }) => {
    const [sign, words] = EFFECTS[effect];
    const tint = effect === 'unchanged' ? paint.dim : refusal || loses ? paint.bad : paint.warn;
    const shown = fields.map((field) => (unknown.includes(field) ? `${field} (perhaps)` : field));
    const more = [...(shown.length > 0 ? [shown.join(', ')] : []), ...(loses ? [`${loses} are lost`] : [])];
    return [tint(`${sign} ${child}`), refusal ? 'is left as it is' : words, refusal ?? more.join('; ')];
  });
  return {
    data: { instance: `${namespace}/${name}`, change, children },
    names: changing.map(({ child }) => child.toLowerCase()),
    text: () =>
      `Instance ${namespace}/${name} with ${change}: ${changing.length} of ${counted(children.length, 'child', 'children')} ${changing.length === 1 ? 'changes' : 'change'}\n\n${table([], rows)}`,
  };
}
