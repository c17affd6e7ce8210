import { Refusal } from './refusal.ts';
import { call, listItems, mustName, named, type Remote, type Write } from './remote.ts';

interface Item {
  kind: string;
  key: string;
  id: string;
  difference: string;
  generation?: number;
  databaseGeneration?: number;
  adoptable: boolean;
  since: string;
}
interface Refused {
  kind: string;
  key: string;
  id: string;
  message: string;
}

/** Calls of `adopt --all`; each takes 500. */
const MAX_ROUNDS = 100;

/** One line each, data planes without a difference included. @returns 1 when there is one */
export const differencesCommand = (
  remote: Remote,
  only: string | undefined,
  out: Write,
  say: Write,
): Promise<number> =>
  listItems<Item>(
    remote,
    only,
    {
      path: pathOf,
      summary: (count) => (count === 0 ? 'the database knows all that it holds' : `${count} differences`),
      line: lineOf,
    },
    out,
    say,
  );

/** @returns 1 when something was refused */
export async function adoptCommand(
  remote: Remote,
  dataPlane: string | undefined,
  ids: string[] | undefined,
  out: Write,
  say: Write,
): Promise<number> {
  const path = `${pathOf(named(dataPlane))}/adopt`;
  if (ids) mustName(ids, 'differences', ', or say --all');
  const body = ids === undefined ? { all: true } : { ids };
  let adopted = 0;
  for (let round = 1; ; round += 1) {
    const answer = await call<{ adopted: Refused[]; refused: Refused[]; left: number }>(
      remote,
      'POST',
      path,
      body,
    );
    for (const { kind, key, id } of answer.adopted) out(`adopted\t${kind}\t${key}\t${id}`);
    adopted += answer.adopted.length;
    const isOver = ids !== undefined || answer.left === answer.refused.length || answer.adopted.length === 0;
    if (!isOver && round < MAX_ROUNDS) continue;
    for (const { kind, key, id, message } of answer.refused) say(`refused ${kind} ${key} ${id}: ${message}`);
    say(`${adopted} adopted, ${answer.refused.length} refused, ${answer.left} left`);
    return answer.refused.length > 0 ? 1 : 0;
  }
}

/** @returns 1 when something was refused */
export async function removeCommand(
  remote: Remote,
  dataPlane: string | undefined,
  ids: string[],
  yes: boolean,
  out: Write,
  say: Write,
): Promise<number> {
  const name = named(dataPlane);
  mustName(ids, 'differences');
  if (!yes)
    throw new Refusal(
      `${ids.length} objects and their data would be deleted on ${name}`,
      'say --yes if that is meant; what exceeds the deletion budget waits there for a release',
    );
  const answer = await call<{ removing: Refused[]; refused: Refused[] }>(
    remote,
    'POST',
    `${pathOf(name)}/remove`,
    { ids },
  );
  for (const { kind, key, id } of answer.removing) out(`removing\t${kind}\t${key}\t${id}`);
  for (const { kind, key, id, message } of answer.refused) say(`refused ${kind} ${key} ${id}: ${message}`);
  return answer.refused.length > 0 ? 1 : 0;
}

const pathOf = (dataPlane: string): string =>
  `/v1/data-planes/${encodeURIComponent(dataPlane)}/unknown-objects`;

function lineOf(dataPlane: string, item: Item): string {
  const { kind, key, id, difference, generation = '?', databaseGeneration = '-', adoptable, since } = item;
  const can = adoptable ? 'adoptable' : 'not adoptable';
  return [
    dataPlane,
    kind,
    key,
    id,
    difference,
    `${databaseGeneration}→${generation}`,
    can,
    `since ${since}`,
  ].join('\t');
}
