import { generateKeyPairSync, sign } from 'node:crypto';
import { readFile, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { digestOf, signedBytes } from '@felucca/contract';
import { describe, expect, it } from 'vitest';
import { eventually } from './support/eventually.ts';
import { runLink } from './support/link.ts';
import { RecoveryStage } from './support/recovery-stage.ts';

const KEYS = '/v1/signing-keys';
const stage = RecoveryStage.register();

const file = (name: '' | '-next' | '-previous'): string => join(stage.api.keyDir, `signing-key${name}.pem`);
const keys = () => stage.api.call('GET', KEYS);
const signs = async (): Promise<string> =>
  (await keys()).keys.find((key: { signs: boolean }) => key.signs).kid;
const restartApi = async (): Promise<void> => {
  await stage.api.kill('SIGTERM');
  await stage.api.run();
};
const announce = async (): Promise<void> => {
  expect(await stage.api.call('POST', `${KEYS}/announce`)).toEqual({ announced: ['test'] });
  await eventually(
    'the operator trusts the present keys',
    async () => (await keys()).dataPlanes[0].trusts,
    60_000,
  );
};
const pinned = async (): Promise<string[]> => {
  const text = await stage.cluster.kubectl([
    'get',
    'secret',
    'felucca-operator-identity',
    '-n',
    'felucca-system',
    '-o',
    "jsonpath={.data['link\\.json']}",
  ]);
  return Object.keys(JSON.parse(Buffer.from(text, 'base64').toString()).signingKeys).sort();
};
const stampsBy = async (): Promise<string[]> => {
  const instances = await stage.instances();
  return [...new Set(instances.map(({ status }) => String(status.desired.kid)))].sort();
};
const objects = async () =>
  (await stage.instances()).map(({ metadata: { name, uid, generation }, spec }) => ({
    name,
    uid,
    generation,
    spec,
  }));

// Invariant L42.
describe('the signing key changes while an operator goes on', () => {
  let formerPem = '';
  let [former, next] = ['', ''];

  it('it trusts the next key because a row that it trusts names it', async () => {
    await stage.order('kept', 1);
    await stage.order('gone', 1);
    await stage.order('edited', 1);
    await Promise.all(['kept', 'gone', 'edited'].map((name) => stage.applied(name, 1)));
    former = await signs();
    formerPem = await readFile(file(''), 'utf8');
    const pem = generateKeyPairSync('ed25519').privateKey.export({ type: 'pkcs8', format: 'pem' });
    await writeFile(file('-next'), pem, { mode: 0o600 });
    await restartApi();
    expect((await keys()).dataPlanes).toEqual([{ name: 'test', announced: [], trusts: false }]);
    await announce();
    expect(await signs()).toBe(former);
    const known = await pinned();
    expect(known).toHaveLength(2);
    next = known.find((kid) => kid !== former) ?? '';
    expect(await stage.api.call('POST', `${KEYS}/announce`)).toEqual({ announced: [] });
  });

  it('orders are signed with it, and what was signed before is signed anew without a change of any object', async () => {
    await rename(file(''), file('-previous'));
    await rename(file('-next'), file(''));
    await restartApi();
    expect(await signs()).toBe(next);
    await stage.order('new', 2);
    await stage.applied('new', 2);
    expect(await stampsBy()).toEqual([former, next].sort());
    const before = await objects();
    // Somebody who may write the database waits for us to sign what they wrote.
    await stage.api.postgres.ask(
      `UPDATE felucca.desired SET spec = jsonb_set(spec, '{parameters,size}', '666') WHERE key = 'acme/edited'`,
      'felucca',
    );
    expect(await stage.api.call('POST', `${KEYS}/resign`)).toMatchObject({
      refused: [{ key: 'acme/edited', kid: former }],
      waiting: [],
      isComplete: true,
    });
    expect(await objects()).toEqual(before);
    await stage.change('edited', 3);
    await stage.applied('edited', 3);
    await eventually('every stamp is of the new key', async () => (await stampsBy()).join() === next, 60_000);
    const untouched = (of: typeof before) => of.filter(({ name }) => name !== 'edited');
    expect(untouched(await objects())).toEqual(untouched(before));
    expect((await keys()).keys).toMatchObject([
      { kid: next, signs: true },
      { kid: former, signs: false, rows: 0 },
    ]);
  });

  it('the one before is forgotten, also by a process that starts later', async () => {
    await rm(file('-previous'));
    await restartApi();
    await announce();
    expect(await pinned()).toEqual([next]);
    await stage.link.stop();
    stage.link = await runLink({
      endpoint: {
        server: stage.cluster.server,
        caPem: stage.cluster.caPem,
        token: stage.cluster.adminToken!,
      },
      apiUrl: stage.api.url,
      token: '',
      namespace: 'felucca-system',
    });
    await stage.change('kept', 7);
    await stage.applied('kept', 7);
    await stage.delete('gone');
    await eventually('the deletion is carried out', async () => !(await stage.live('gone')), 60_000);
  });

  // Invariant L24.
  it('whoever has the former key and the database moves nothing any more', async () => {
    const [row] = await stage.api.postgres.ask(
      `SELECT tenant_id, data_plane_id, kind, key, id, generation, spec FROM felucca.desired WHERE key = 'acme/kept'`,
      'felucca',
    );
    // biome-ignore lint/suspicious/noExplicitAny: a row as the database returns it
    const { data_plane_id: dataPlaneId, tenant_id, id, spec, ...rest } = row as any;
    const forged = { ...spec, parameters: { size: 666 } };
    const generation = Number(rest.generation) + 1;
    const hash = digestOf(forged);
    const kind = 'Instance' as const;
    const bytes = signedBytes({ dataPlaneId, kind, key: 'acme/kept', id, generation, hash, deleted: false });
    const sig = sign(null, bytes, formerPem).toString('base64url');
    const change = { tenant_id, kind, key: 'acme/kept', id, generation, hash, spec: forged, deleted: false };
    const changes = JSON.stringify([{ ...change, kid: former, sig }]).replaceAll("'", "''");
    await stage.api.postgres.ask(`SELECT felucca.feed_commit('${dataPlaneId}', '${changes}')`, 'felucca');
    await eventually(
      'the row is refused',
      async () => {
        const { items } = await stage.api.call('GET', '/v1/data-planes/test/refused-rows');
        return items.some((item: { code: string }) => item.code === 'SignatureInvalid');
      },
      60_000,
    );
    expect((await stage.live('kept')).spec.parameters).toEqual({ size: 7 });
    // Nor does signing anew make it ours.
    expect(await stage.api.call('POST', `${KEYS}/resign`)).toMatchObject({
      resigned: 0,
      refused: [{ kind, key: 'acme/kept', id, kid: former, dataPlane: 'test' }],
    });
  });
});
