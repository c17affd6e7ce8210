import { counted } from '@felucca/contract';
import { Refusal } from './refusal.ts';
import { call, listItems, mustName, named, type Remote, type Write } from './remote.ts';

interface Held {
  kind: string;
  key: string;
  id: string;
  heldBy: string;
  heldAt: string;
  message: string;
}

/** One line each, data planes where nothing waits included. @returns 1 when something waits */
export const heldCommand = (
  remote: Remote,
  only: string | undefined,
  out: Write,
  say: Write,
): Promise<number> =>
  listItems<Held>(
    remote,
    only,
    {
      path: pathOf,
      summary: (count) =>
        count === 0 ? 'no deletion is held' : `${counted(count, 'deletion')} held; release or reject by id`,
      line: (name, { kind, key, id, heldBy, heldAt, message }) =>
        [name, kind, key, id, `held by the ${heldBy}`, `since ${heldAt}`, message].join('\t'),
    },
    out,
    say,
  );

export async function releaseCommand(
  remote: Remote,
  dataPlane: string | undefined,
  ids: string[],
  yes: boolean,
  out: Write,
): Promise<number> {
  const name = named(dataPlane);
  mustName(ids, 'held');
  if (!yes)
    throw new Refusal(
      `${counted(ids.length, 'Instance')} and ${ids.length === 1 ? 'its' : 'their'} data would be deleted on ${name}`,
      'say --yes if that is meant; `felucca admin reject` takes them back',
    );
  const { released } = await call<{ released: string[] }>(remote, 'POST', `${pathOf(name)}/release`, { ids });
  for (const id of released) out(`released\t${id}`);
  return 0;
}

export async function rejectCommand(
  remote: Remote,
  dataPlane: string | undefined,
  ids: string[],
  out: Write,
): Promise<number> {
  const name = named(dataPlane);
  mustName(ids, 'held');
  const { restored } = await call<{ restored: string[] }>(remote, 'POST', `${pathOf(name)}/reject`, { ids });
  for (const id of restored) out(`restored\t${id}`);
  return 0;
}

const pathOf = (dataPlane: string): string =>
  `/v1/data-planes/${encodeURIComponent(dataPlane)}/held-deletions`;
