import { pseudoRandom } from '@felucca/dev/pseudo-random';
import { describe, expect, it } from 'vitest';
import { CONFIG_BLUEPRINT } from './support/control-api.ts';
import { eventually } from './support/eventually.ts';
import { RecoveryStage, UNKNOWN } from './support/recovery-stage.ts';

const stage = RecoveryStage.register();
/** Of Instances, by namespace and name. */
const uids = async () =>
  Object.fromEntries(
    (await stage.instances()).map(({ metadata, spec }) => [
      `${metadata.namespace}/${metadata.name}`,
      `${metadata.uid} ${metadata.generation} ${JSON.stringify(spec)}`,
    ]),
  );
const adoptAll = () => stage.api.call('POST', `${UNKNOWN}/adopt`, { all: true });
const told = (count: number) =>
  eventually(
    `${count} differences are told`,
    async () => {
      const items = await stage.unknown();
      return items.length === count && items;
    },
    60_000,
  );
const epoch = async () => (await stage.dataPlane()).link.epoch;

/** What the database will have lost, and with what the cluster goes on. */
async function goOn(tag: string): Promise<void> {
  await stage.change(`kept-${tag}`, 5);
  await stage.order(`lost-${tag}`, 7);
  await Promise.all([stage.applied(`kept-${tag}`, 5), stage.applied(`lost-${tag}`, 7)]);
  await stage.current();
}

/** Nothing deleted or touched, listed, adopted as it runs, and the next order is applied. */
async function proveRecovery(
  tag: string,
  before: Record<string, string>,
  oldEpoch: string,
  adopt: () => Promise<void> = async () => {
    expect(await adoptAll()).toMatchObject({ adopted: [{}, {}], refused: [], left: 0 });
  },
): Promise<void> {
  const items = await told(2);
  expect(items).toMatchObject([
    { key: `acme/kept-${tag}`, difference: 'ahead', generation: 2, databaseGeneration: 1, adoptable: true },
    { key: `acme/lost-${tag}`, difference: 'unknown', generation: 1, adoptable: true },
  ]);
  expect(await epoch()).not.toBe(oldEpoch);
  expect(await uids()).toEqual(before);
  await adopt();
  expect(await told(0)).toEqual([]);
  await stage.current();
  expect(await uids()).toEqual(before);
  for (const [name, generation] of [
    [`kept-${tag}`, 2],
    [`lost-${tag}`, 1],
  ] as const)
    await eventually(`${name} is observed again`, async () => {
      const seen = await stage.api.call('GET', `/v1/organizations/acme/instances/${name}/observed`);
      return seen.generation === generation;
    });
  await Promise.all([stage.change(`kept-${tag}`, 11), stage.change(`lost-${tag}`, 12)]);
  await Promise.all([stage.applied(`kept-${tag}`, 11), stage.applied(`lost-${tag}`, 12)]);
  await stage.current();
}

describe('a database that is put back while an operator is live', () => {
  // Invariant L10, L12, L13, L39, L40.
  it('from a base backup without recovery, which has the same timeline: `felucca admin new-epoch` begins the epochs', async () => {
    await stage.order('kept-base', 1);
    await stage.applied('kept-base', 1);
    const backup = await stage.backup();
    await goOn('base');
    const [before, oldEpoch] = [await uids(), await epoch()];
    const server = await stage.serve(backup);
    await stage.failOver(server, async () => {
      expect(await stage.api.admin('new-epoch')).toMatch(/new epochs for 1 data planes/);
    });
    await told(2);
    // Exit code 1: there is a difference.
    await expect(stage.api.admin('differences')).rejects.toThrow(/^differences: 1 test: 2 differences/);
    await proveRecovery('base', before, oldEpoch, async () => {
      expect(await stage.api.admin('adopt', 'test', '--all')).toMatch(/2 adopted, 0 refused, 0 left/);
    });
    expect(await stage.api.admin('differences')).toMatch(/test: the database knows all that it holds/);
  });

  // Invariant L10, L12, L13, L39, L40.
  it('to a point in time', async () => {
    const backup = await stage.backup();
    const { archive } = stage;
    await stage.order('kept-time', 1);
    await stage.applied('kept-time', 1);
    await stage.api.postgres.ask(`SELECT pg_create_restore_point('before')`);
    await goOn('time');
    await stage.archived();
    const [before, oldEpoch] = [await uids(), await epoch()];
    const server = await stage.serve(
      backup,
      { 'recovery.signal': '' },
      {
        restore_command: `cp ${archive}/%f %p`,
        recovery_target_name: 'before',
        recovery_target_action: 'promote',
      },
    );
    await stage.failOver(server);
    await proveRecovery('time', before, oldEpoch);
  });

  // Invariant L10, L12, L13, L39, L40.
  it('by promoting a streaming standby that lagged', async () => {
    await stage.order('kept-standby', 1);
    await stage.applied('kept-standby', 1);
    const standby = await stage.standby();
    await stage.sever(standby);
    await goOn('standby');
    const [before, oldEpoch] = [await uids(), await epoch()];
    await stage.failOver(standby, async () => {
      await standby.ask('SELECT pg_promote()');
    });
    await proveRecovery('standby', before, oldEpoch);
  });

  // Invariant L14, L40.
  it('with names given anew, other tenants and Blueprints meanwhile, and orders before anything was compared', async () => {
    for (const name of ['renamed', 'early', 'refused']) await stage.order(name, 1);
    for (const name of ['renamed', 'early', 'refused']) await stage.applied(name, 1);
    await stage.current();
    const backup = await stage.backup();
    const { api } = stage;
    await stage.delete('renamed');
    await stage.order('renamed', 2);
    await stage.applied('renamed', 2);
    for (const size of [2, 3, 4]) await stage.change('early', size);
    await stage.applied('early', 4);
    await api.call('POST', '/v1/organizations', { name: 'late' });
    await api.call('POST', '/v1/blueprints', { ...CONFIG_BLUEPRINT, name: 'newer' });
    await stage.order('db', 3, { blueprint: 'newer' }, 'late');
    await stage.applied('db', 3, 'late');
    await stage.current();
    const before = await uids();
    const server = await stage.serve(backup);
    await stage.failOver(server, async () => void (await api.admin('new-epoch')));
    // At once, when nobody has told that the cluster is at generation 4.
    const { operation } = await stage.change('early', 9);
    await stage.applied('early', 9);
    await eventually('its operation goes on', async () => {
      const found = await api.call('GET', `/v1/organizations/acme/operations/${operation.id}`);
      return ['applied', 'ready', 'delivered'].includes(found.state);
    });
    const items = await told(4);
    expect(items.map(({ kind, key, difference }) => `${kind} ${key} ${difference}`)).toEqual([
      'Blueprint newer-1-0-0 unknown',
      'Tenant late unknown',
      'Instance acme/renamed unknown',
      'Instance late/db unknown',
    ]);
    const { adopted, refused } = await adoptAll();
    expect(adopted).toHaveLength(3);
    expect(refused).toMatchObject([{ key: 'acme/renamed', code: 'NAME_TAKEN' }]);
    const after = await uids();
    for (const [name, was] of Object.entries(before))
      if (!name.endsWith('/early')) expect(after[name]).toBe(was);
    // The other decision: what the database has of this name is wanted instead.
    await api.call('POST', `${UNKNOWN}/remove`, { ids: [refused[0].id] });
    await stage.applied('renamed', 1);
    await told(0);
    await stage.current();
  });

  // Invariant L39, L40.
  it('adopts what was to be removed, when its removal is held and rejected', async () => {
    await stage.order('kept-anyway', 1);
    await stage.applied('kept-anyway', 1);
    const backup = await stage.backup();
    const { api } = stage;
    const { id } = await stage.order('kept-after-all', 3);
    await stage.applied('kept-after-all', 3);
    await stage.current();
    const before = await uids();
    const server = await stage.serve(backup);
    await stage.failOver(server, async () => void (await api.admin('new-epoch')));
    await told(1);
    // What is held from now on is held by the budget.
    await stage.compared();
    const held = async () => (await api.call('GET', '/v1/data-planes/test/held-deletions')).items;
    await api.call('PATCH', '/v1/data-planes/test', { deletionBudgetPercent: 0 });
    await api.admin('remove', 'test', id, '--yes');
    await eventually('its removal is held', async () => (await held()).length === 1);
    expect(await api.admin('reject', 'test', id)).toMatch(`restored\t${id}`);
    await told(0);
    await stage.current();
    expect(await held()).toEqual([]);
    expect(await uids()).toEqual(before);
    await api.call('PATCH', '/v1/data-planes/test', { deletionBudgetPercent: 5 });
    await stage.change('kept-after-all', 4);
    await stage.applied('kept-after-all', 4);
    await stage.current();
  });
});

describe('what was ordered with a secret', () => {
  const VAULT = {
    ...{ name: 'vault', version: '1.0.0' },
    parameters: {
      type: 'object',
      properties: {
        size: { type: 'integer', default: 1 },
        password: { type: 'string', sensitive: true, maxLength: 64 },
      },
    },
    nodes: [
      { id: 's', manifest: { apiVersion: 'v1', kind: 'Secret', stringData: { p: '${params.password}' } } },
    ],
  };
  const ofVault = { blueprint: 'vault', parameters: { size: 1, password: 'correct-horse-battery' } };

  // Invariant L40.
  it('is adopted as it was sealed, and its secret is the tenant’s to change or to leave', async () => {
    const { api } = stage;
    await api.call('POST', '/v1/blueprints', VAULT);
    await eventually(
      'the operator has told its key',
      async () => (await stage.dataPlane()).link.sealingKeyId,
    );
    await stage.order('anchor', 1, ofVault);
    await stage.applied('anchor', 1);
    await stage.current();
    const backup = await stage.backup();
    await stage.order('safe', 1, ofVault);
    const sealed = (await stage.applied('safe', 1)).spec.parameters.password;
    expect(JSON.stringify(sealed)).toMatch(/eyJ/);
    await stage.current();
    const server = await stage.serve(backup);
    await stage.failOver(server, async () => void (await api.admin('new-epoch')));
    const [item] = await told(1);
    expect(item).toMatchObject({ key: 'acme/safe', difference: 'unknown', adoptable: true });
    expect(await adoptAll()).toMatchObject({ adopted: [{ key: 'acme/safe' }], refused: [] });
    await told(0);
    const path = '/v1/organizations/acme/instances/safe';
    const shown = await api.call('GET', path);
    expect(JSON.stringify(shown)).not.toMatch(/correct-horse|eyJ/);
    // Another parameter leaves the secret as it is, and so does the same secret.
    await api.call('PATCH', path, { parameters: { size: 2 } });
    expect((await stage.applied('safe', 2)).spec.parameters.password).toEqual(sealed);
    const again = await api.call('PATCH', path, { parameters: { password: 'correct-horse-battery' } });
    expect(again.generation ?? again.instance?.generation).toBe(2);
    await api.call('PATCH', path, { parameters: { password: 'another-horse' } });
    await eventually('the new secret arrives', async () => {
      const { spec } = await stage.applied('safe', 2);
      return JSON.stringify(spec.parameters.password) !== JSON.stringify(sealed);
    });
  });
});

/** How many are made; the figure is 200. */
const RESTORES = Number(process.env['RESTORES'] ?? 3);

describe('restores at random points', () => {
  // Invariant L13, L14, L40.
  it(
    `delete nothing that nobody deleted, ${RESTORES} times`,
    async () => {
      const random = pseudoRandom(Number(process.env['SEED'] ?? 1));
      const pick = <T>(items: readonly T[]): T | undefined => items[Math.floor(random() * items.length)];
      const names = Array.from({ length: 8 }, (_, index) => `r${index}`);
      const known = async () => {
        const { items } = await stage.api.call('GET', '/v1/organizations/acme/instances?limit=200');
        return (items as { name: string }[]).map(({ name }) => name).filter((name) => names.includes(name));
      };
      /** Ids whose deletion somebody ordered, whatever a database knows of it. */
      const ordered = new Set<string>();
      const act = async (): Promise<void> => {
        const there = await known();
        const name = pick(names)!;
        if (!there.includes(name))
          await stage.order(name, Math.ceil(random() * 50)).catch((error: Error) => {
            // Its former owner's deletion is beyond a budget; somebody decides at the end of the round.
            if (!/NAME_TAKEN/.test(error.message)) throw error;
          });
        else if (random() < 0.25) ordered.add((await stage.delete(name)).id);
        else await stage.change(name, Math.ceil(random() * 50));
      };
      for (let round = 1; round <= RESTORES; round += 1) {
        for (let count = 0; count < 6; count += 1) await act();
        if (random() < 0.5) await stage.current();
        const backup = await stage.backup();
        for (let count = 0; count < Math.floor(random() * 10); count += 1) await act();
        if (random() < 0.7) await stage.current();
        const before = await stage.instances();
        const server = await stage.serve(backup);
        await stage.failOver(server, async () => void (await stage.api.admin('new-epoch')));
        if (random() < 0.5) await act().catch(() => undefined);
        await stage.compared();
        const there = new Set((await stage.instances()).map(({ metadata }) => metadata.uid));
        for (const { metadata, status } of before)
          if (!there.has(metadata.uid) && !ordered.has(status?.desired?.id))
            throw new Error(`round ${round}: ${metadata.name} ${status?.desired?.id} is gone`);
        await adoptAll();
        // What is left has a name that the database has given to another: a person would decide.
        const ids = (await stage.unknown())
          .filter(({ difference }) => difference === 'unknown')
          .map(({ id }) => id);
        if (ids.length > 0) await stage.api.call('POST', `${UNKNOWN}/remove`, { ids });
        await stage.release();
        for (const name of await known()) {
          const size = Math.ceil(random() * 50) + 100;
          await stage.change(name, size);
          await stage.applied(name, size);
        }
        if (RESTORES > 10 && round % 10 === 0)
          process.stderr.write(`${round}/${RESTORES} restores, nothing lost\n`);
      }
    },
    60_000 + RESTORES * 120_000,
  );
});
