import { revert } from './instance-trials.ts';
import { Finding, type Lane } from './lane.ts';
import { mutationsOf } from './mutations.ts';
import { expectEqual, expectFewWrites } from './oracles.ts';
import { concrete, type Json, valueAt, withValue } from './pointer.ts';
import { Random } from './random.ts';
import type { Mask } from './state.ts';
import { type Product, verdictOf } from './subjects.ts';
import type { Trial } from './trial.ts';

const STEPS = 18;

/** Long ways to a spec, good and bad ones mixed, some without waiting: where they end must not depend on the way. */
export function chainTrials(product: Product, mask: () => Mask, seed: string, count: number): Trial[] {
  return Array.from({ length: count }, (_, index) => ({
    id: `${product.name}: chain ${index}`,
    operations: STEPS + 2,
    run: (lane: Lane) => walk(lane, product, mask(), new Random(`${seed}/${product.name}/chain/${index}`)),
  }));
}

async function walk(lane: Lane, product: Product, mask: Mask, random: Random): Promise<void> {
  const target = await lane.standing(product);
  const before = lane.state(target);
  const mark = lane.writes.length;
  let good = product.spec;
  for (let step = 0; step < STEPS; step += 1) {
    const wanted = step === STEPS - 1 ? good : oneChange(product, good, random);
    const verdict = verdictOf(product, product.spec, wanted);
    const answer = await lane.replace(target, wanted);
    if (answer.accepted !== (verdict.by !== 'api server'))
      throw new Finding(`step ${step}: the API server answered ${answer.status}: ${answer.message}`);
    if (verdict.by === 'nobody') good = wanted;
    // Half of the steps come while the one before is under way.
    if (answer.accepted && random.next() < 0.5) await lane.settled(target, answer.generation);
  }
  await lane.settled(target, lane.get(target)?.metadata.generation ?? 0);
  const another = await lane.fresh(good);
  await expectEqual(
    lane,
    target,
    () => lane.state(another),
    `differential after ${JSON.stringify(good)}`,
    mask,
  );
  await lane.discard(another);
  await revert(lane, target, product.spec, before, mask);
  // A budget for one change, for each of them.
  expectFewWrites(lane, mark, target, STEPS);
}

/** The spec with another value at a random leaf. */
function oneChange(product: Product, spec: Json, random: Random): Json {
  const leaf = random.pick(product.leaves);
  const path = concrete(spec, leaf.path);
  const mutation = random.pick(mutationsOf(leaf, valueAt(spec, path), String(random.next())));
  return withValue(spec, path, mutation.value);
}
