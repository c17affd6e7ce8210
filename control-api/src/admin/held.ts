import { counted } from '@felucca/contract';
import { Refusal } from './refusal.ts';
import { call, dataPlanes, named, type Remote, type Write } from './remote.ts';

interface Held {
  kind: string;
  key: string;
  id: string;
  heldBy: string;
  heldAt: string;
  message: string;
}

/** One line each, data planes where nothing waits included. @returns 1 when something waits */
export async function heldCommand(
  remote: Remote,
  only: string | undefined,
  out: Write,
  say: Write,
): Promise<number> {
  const names = only === undefined ? await dataPlanes(remote) : [only];
  let count = 0;
  for (const name of names) {
    const { items } = await call<{ items: Held[] }>(remote, 'GET', pathOf(name));
    const many = counted(items.length, 'deletion');
    say(`${name}: ${items.length === 0 ? 'no deletion is held' : `${many} held; release or reject by id`}`);
    for (const { kind, key, id, heldBy, heldAt, message } of items)
      out([name, kind, key, id, `held by the ${heldBy}`, `since ${heldAt}`, message].join('\t'));
    count += items.length;
  }
  return count > 0 ? 1 : 0;
}

export async function releaseCommand(
  remote: Remote,
  dataPlane: string | undefined,
  ids: string[],
  yes: boolean,
  out: Write,
): Promise<number> {
  const name = named(dataPlane);
  mustName(ids);
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
  mustName(ids);
  const { restored } = await call<{ restored: string[] }>(remote, 'POST', `${pathOf(name)}/reject`, { ids });
  for (const id of restored) out(`restored\t${id}`);
  return 0;
}

const pathOf = (dataPlane: string): string =>
  `/v1/data-planes/${encodeURIComponent(dataPlane)}/held-deletions`;

function mustName(ids: readonly string[]): void {
  if (ids.length === 0) throw new Refusal('nothing is named', 'name ids of `felucca admin held`');
}
