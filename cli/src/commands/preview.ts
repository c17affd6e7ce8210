import {
  type ActualChildren,
  type BlueprintObject,
  blueprintObjectName,
  counted,
  ExpressionProblem,
  type InstanceObject,
  inventoryOf,
  type LiveObject,
  organizationOf,
  type PlannedChange,
  planUpdate,
  policyOf,
} from '@felucca/contract';
import { entryOf } from '../diff/differences.ts';
import { wishedInstance } from '../diff/wished.ts';
import { isAnothers } from '../facts/ownership.ts';
import { isProduct, makeProduct, type Product, productOf } from '../facts/product.ts';
import { EXIT, Failure } from '../failure.ts';
import type { Kube } from '../kube/client.ts';
import { ifAllowed, isSeen, seenValue } from '../kube/errors.ts';
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
  const { kube } = context;
  const instance = await findInstance(kube, name, context.namespace);
  const { name: product = '', version = '' } = instance.spec?.blueprintRef ?? {};
  const [before, after] = await Promise.all([
    ifAllowed(kube.get<BlueprintObject>('Blueprint', undefined, blueprintObjectName(product, version))),
    readBlueprint(kube, { name: product, version: flags.blueprintVersion ?? version }),
  ]);
  const wished = wishedInstance(instance, after, flags.with ?? []);
  const made = productOf(after, wished);
  const actual = await actualChildren(kube, instance, made);
  const children = changesOf(instance, formerProduct(seenValue(before), instance), wished, made, actual);
  const answer = previewAnswer(instance, children, wordsOf(flags), context.paint);
  await show(context.terminal, context.format, answer);
  return children.some(({ effect }) => effect !== 'unchanged') ? EXIT.wrong : EXIT.ok;
}

/** None where its Blueprint is gone or wrong, or its parameters are: the way out of that is to be seen, too. */
function formerProduct(
  blueprint: BlueprintObject | undefined,
  instance: InstanceObject,
): Product | undefined {
  const made = blueprint && makeProduct(blueprint, instance);
  return made && isProduct(made) ? made : undefined;
}

/** What has the names of the Instance's children, as far as it may be seen and is not another's. */
async function actualChildren(
  kube: Kube,
  instance: InstanceObject,
  { planned }: Product,
): Promise<ActualChildren> {
  const inventory = inventoryOf(instance);
  const { namespace } = instance.metadata;
  const live = await Promise.all(
    planned.map(async (child): Promise<[string, LiveObject | undefined][]> => {
      const { name, compiled, each } = child;
      const { kind, node } = compiled;
      const seen = await ifAllowed(kube.get(kind, namespace, name));
      if (!isSeen(seen)) return [];
      const known = entryOf(inventory, child);
      if (seen.value && isAnothers(seen.value, instance, { node: node.id, key: each?.key }, known)) return [];
      return [[`${kind}/${name}`, seen.value]];
    }),
  );
  return { live: new Map(live.flat()), inventory };
}

function changesOf(
  instance: InstanceObject,
  before: Product | undefined,
  wished: InstanceObject,
  after: Product,
  actual: ActualChildren,
): PlannedChange[] {
  const { name, namespace = '', uid = '' } = instance.metadata;
  const version = ({ spec }: InstanceObject, { compiled, parameters }: Product) => ({
    blueprint: compiled,
    parameters,
    suspend: spec?.suspend ?? false,
    deletionPolicy: policyOf(spec),
  });
  try {
    const names = { organization: organizationOf(namespace) ?? namespace, name, uid };
    return planUpdate(names, before && version(instance, before), version(wished, after), actual);
  } catch (error) {
    if (!(error instanceof ExpressionProblem)) throw error;
    // It may be an expression of the present version.
    if (before) return changesOf(instance, undefined, wished, after, actual);
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
  // What is to go may be all there is, as long as what takes its place is not there.
  const isAnyRefused = children.some(({ refusal }) => refusal !== undefined);
  const rows = children.map(({ child, effect, fields, unknown, refusal, loses }) => {
    const [sign, effectWords] = EFFECTS[effect];
    const words =
      effect === 'remove' && isAnyRefused ? `${effectWords} once nothing is refused` : effectWords;
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
