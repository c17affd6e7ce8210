import { ANNOTATIONS, canonicalJson, DATA_PLANE_NAME, type KubeObject, objectRef } from '@felucca/contract';
import type { Cluster } from '@felucca/dev';
import { beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { KubeSyncCluster } from '../src/sync/kube-cluster.ts';
import type { TestControlPlane } from './support/control-plane.ts';
import { eventually } from './support/eventually.ts';
import { instance, localInstance, SyncStage } from './support/sync-stage.ts';

const stage = SyncStage.register();
let cluster: Cluster;
let plane: TestControlPlane;
beforeAll(() => {
  ({ cluster } = stage);
});
beforeEach(() => {
  ({ plane } = stage);
});
const startLink = (options?: { token?: string }) => stage.startLink(options);
const get = (path: string) => stage.get(path);
const db = () => stage.instance();
const dataPlane = () => stage.dataPlane();
const ready = () => stage.ready();
const applied = (name?: string) => stage.applied(name);
const acked = () => stage.acked();
const persisted = () => stage.persisted();

describe('the link against a real API server', () => {
  // Invariant L8.
  it('joins once, applies rows, stamps them, and acknowledges what is durable', async () => {
    plane.put('Blueprint', 'web-1-0-0', 'b1', BLUEPRINT);
    plane.put('Tenant', 'acme', 't1', {});
    plane.put('Instance', 'acme/db', 'i1', instance());
    await startLink();
    const object = await applied();
    expect(object.spec).toEqual(instance());
    expect(object.metadata.annotations).toMatchObject({
      [ANNOTATIONS.id]: 'i1',
      [ANNOTATIONS.generation]: '1',
    });
    expect(object.status.desired).toMatchObject({ id: 'i1', generation: 1, kid: 'k1', rev: '3' });
    await acked();
    await persisted();
    expect(plane.lastAck?.digest).toBe(plane.digest);
    expect(plane.joins).toBe(1);
    expect(plane.lastStatus('Instance', 'acme/db')).toMatchObject({ id: 'i1', generation: 1, local: false });
  });

  it('follows changes as they are committed and resumes by delta after a break', async () => {
    await startLink();
    await ready();
    plane.put('Instance', 'acme/db', 'i1', instance(1));
    await applied();
    await acked();
    plane.dropStreams();
    plane.put('Instance', 'acme/db', 'i1', instance(2));
    await eventually('the change arrives', async () => (await db())?.spec.parameters.size === 2);
    expect(plane.queries.at(-1)).toMatchObject({ epoch: 'e1', cursor: '1' });
  });

  // Invariant L29.
  it('writes nothing when it is restarted and nothing has changed', async () => {
    plane.put('Tenant', 'acme', 't1', {});
    for (let index = 0; index < 20; index += 1)
      plane.put('Instance', `acme/i${index}`, `i${index}`, instance(index));
    const first = await startLink();
    await acked();
    await persisted();
    await first.stop();
    const before = (await get('instances')).metadata.resourceVersion;
    const seen = plane.queries.length;
    const second = await startLink();
    await eventually('the second process has resumed', () => plane.queries.length > seen);
    await eventually('its acknowledgement', () => plane.reports.at(-1)?.ack?.cursor === String(plane.head));
    await eventually('heartbeats were compared', () => plane.connected === 1);
    expect(plane.queries.at(-1)).toMatchObject({ cursor: String(plane.head), digest: plane.digest });
    expect(second.transport.writes).toEqual([]);
    expect((await get('instances')).metadata.resourceVersion).toBe(before);
  });

  // Invariant L8.
  it('takes a whole snapshot after a restart and writes only the row that is new', async () => {
    for (let index = 0; index < 5; index += 1)
      plane.put('Instance', `acme/i${index}`, `i${index}`, instance(index));
    const first = await startLink();
    await acked();
    await persisted();
    await first.stop();
    plane.put('Instance', 'acme/new', 'new', instance());
    plane.compacted = plane.head;
    const { transport } = await startLink();
    await applied('new');
    await persisted();
    const path = '/apis/felucca.dev/v1alpha1/namespaces/tenant-acme/instances/new';
    const instances = transport.writes.filter((write) => write.includes('/instances/'));
    expect(instances).toEqual([`PATCH ${path}`, `PATCH ${path}/status`]);
  });

  // Invariant L9.
  it('refuses a row with a bad signature, keeps the last good one and goes on', async () => {
    plane.put('Instance', 'acme/db', 'i1', instance(1));
    await startLink();
    await applied();
    plane.put('Instance', 'acme/db', 'i1', instance(9), { sig: 'A'.repeat(86) });
    plane.put('Instance', 'acme/other', 'i2', instance());
    await applied('other');
    await acked();
    expect(plane.nacks).toContainEqual(expect.objectContaining({ key: 'acme/db', code: 'SignatureInvalid' }));
    expect((await db()).spec.parameters.size).toBe(1);
  });

  // Invariant L9.
  it('refuses a row that says something that no row says, and goes on', async () => {
    await startLink();
    plane.put('Instance', 'acme/db', 'i1', instance(9), { hash: 'sha256:aaaa' });
    plane.put('Instance', 'acme/other', 'i2', instance());
    await applied('other');
    await acked();
    expect(plane.nacks).toContainEqual(expect.objectContaining({ key: 'acme/db', code: 'DigestMismatch' }));
    expect(await db()).toBeUndefined();
  });

  // Invariant L7.
  it('refuses an older generation of the same id', async () => {
    plane.put('Instance', 'acme/db', 'i1', instance(1), { generation: 5 });
    await startLink();
    await applied();
    plane.put('Instance', 'acme/db', 'i1', instance(9), { generation: 4 });
    await eventually('the NACK', () => plane.nacks.some((nack) => nack.code === 'GenerationRegressed'));
    expect((await db()).spec.parameters.size).toBe(1);
  });

  // Invariant L14.
  it('deletes only by a tombstone that names the id, and tells when the object is gone', async () => {
    plane.put('Instance', 'acme/db', 'i1', instance());
    await startLink();
    await applied();
    plane.del('Instance', 'acme/db', { id: 'somebody-else' });
    await eventually('its end is reported', () =>
      plane.statuses.some((item) => item.id === 'somebody-else' && item.deleted),
    );
    expect(await db()).toBeDefined();
    plane.del('Instance', 'acme/db', { id: 'i1' });
    await eventually('the object is gone', async () => !(await db()));
    await eventually('the end is reported', () => plane.lastStatus('Instance', 'acme/db')?.deleted);
    await acked();
  });

  // Invariant L14.
  it('never touches a local object of the same name', async () => {
    await cluster.kubectl(['apply', '-f', '-'], { stdin: localInstance('db') });
    plane.put('Instance', 'acme/db', 'i1', instance(7));
    await startLink();
    await eventually('the NACK', () => plane.nacks.some((nack) => nack.code === 'NameConflict'));
    await acked();
    plane.del('Instance', 'acme/db');
    await eventually('the end of the order is reported', () =>
      plane.statuses.some((item) => item.id === 'i1' && item.deleted),
    );
    await acked();
    expect((await db()).spec.parameters).toEqual({ size: 1 });
    expect(plane.statuses.findLast((item) => item.local)).toMatchObject({ blueprint: 'web@1.0.0' });
  });

  it('says whose name is taken, on the object and on the DataPlane, and applies the row as soon as it is free', async () => {
    await cluster.kubectl(['apply', '-f', '-'], { stdin: localInstance('db') });
    plane.put('Instance', 'acme/db', 'i1', instance(7));
    const { events } = await startLink();
    const condition = async () =>
      (await dataPlane())?.status?.conditions?.find(({ type }: { type: string }) => type === 'RowsRefused');
    await eventually('the condition', condition);
    expect(await condition()).toMatchObject({
      status: 'True',
      reason: 'RowsRefused',
      message: expect.stringMatching(
        /^1 row of the control plane is not applied here: Instance tenant-acme\/db \(NameConflict: .*refused-rows/,
      ),
    });
    await eventually(
      'it was tried again',
      () => plane.reports.flatMap(({ nacks }) => nacks).length > 1,
      30_000,
    );
    expect(events).toEqual([
      expect.stringMatching(/^Instance acme\/db RowRefused .*NameConflict: .*rename or delete it$/),
    ]);
    const freedMs = performance.now();
    await cluster.kubectl(['delete', 'instance', 'db', '-n', 'tenant-acme']);
    await applied();
    expect(performance.now() - freedMs).toBeLessThan(3_000);
    await eventually('the condition is gone', async () => !(await condition()));
  });

  it('does not go on to say that a row is refused whose cause ended while no operator ran', async () => {
    await cluster.kubectl(['apply', '-f', '-'], { stdin: localInstance('db') });
    plane.put('Instance', 'acme/db', 'i1', instance(7));
    const { stop } = await startLink();
    const condition = async () =>
      (await dataPlane())?.status?.conditions?.find(({ type }: { type: string }) => type === 'RowsRefused');
    await eventually('the condition', condition);
    await acked();
    await stop();
    await cluster.kubectl(['delete', 'instance', 'db', '-n', 'tenant-acme']);
    await startLink();
    await applied();
    await eventually('the condition is gone', async () => !(await condition()));
  });

  it('restores an edited spec and says who changed what', async () => {
    plane.put('Instance', 'acme/db', 'i1', instance(1));
    const { events } = await startLink();
    await applied();
    await acked();
    const patch = JSON.stringify({ spec: { suspend: true, parameters: { size: 99, added: 'x' } } });
    await cluster.kubectl(['patch', 'instance', 'db', '-n', 'tenant-acme', '--type=merge', '-p', patch]);
    await eventually('the edit is undone', async () => {
      const { spec } = await db();
      return spec.parameters.size === 1 && spec.parameters.added === undefined && !spec.suspend;
    });
    await eventually('three records of drift', () => plane.drift.length === 3);
    expect(
      plane.drift.map(({ object, path, manager, action }) => [object, path, manager, action]).sort(),
    ).toEqual([
      ['Instance/db', '/spec/parameters/added', 'kubectl-patch', 'corrected'],
      ['Instance/db', '/spec/parameters/size', 'kubectl-patch', 'corrected'],
      ['Instance/db', '/spec/suspend', 'kubectl-patch', 'corrected'],
    ]);
    expect(events.at(-1)).toMatch(/SpecEdited kubectl-patch changed/);
    await eventually('Synced speaks of the restored generation', async () => {
      const { metadata, status } = await db();
      return status.conditions[0].observedGeneration === metadata.generation;
    });
  });

  // Invariant L43.
  it('empties an object, and never shows it half changed or as null', async () => {
    const seen: string[] = [];
    const { watches, stop } = await stage.standby();
    watches.Instance.listen({
      upserted: ({ spec }) => void seen.push(canonicalJson(spec?.['parameters'])),
      removed: () => undefined,
    });
    await startLink();
    const forms = [
      { size: 1, config: { a: '1', deep: { b: '2' } } },
      { size: 2, config: { a: '1', deep: {} } },
      { size: 3, config: {} },
      { size: 4, config: { c: '3' } },
      { size: 5, config: {} },
      { size: 6 },
      {},
      { size: 7 },
    ];
    for (const parameters of forms) {
      plane.put('Instance', 'acme/db', 'i1', { ...instance(), parameters });
      await acked();
      expect((await db()).spec.parameters).toEqual(parameters);
      expect((await db()).status.desired.generation).toBe(forms.indexOf(parameters) + 1);
    }
    // A default of the control plane's own settings is no setting.
    plane.put('DataPlane', DATA_PLANE_NAME, 'd1', { deletionBudgetPercent: 0 });
    await acked();
    plane.put('DataPlane', DATA_PLANE_NAME, 'd1', {});
    await acked();
    expect((await dataPlane()).spec).toEqual({});
    expect(plane.reports.flatMap(({ nacks }) => nacks)).toEqual([]);
    expect(plane.drift).toEqual([]);
    const canBe = forms.map((parameters) => canonicalJson(parameters));
    await eventually('the watch has seen the last', () => seen.at(-1) === canBe.at(-1));
    expect(seen.filter((form) => !canBe.includes(form))).toEqual([]);
    stop();
  });

  it('tells a removal that comes too late from one that is not allowed, whatever the object is called', async () => {
    const name = 'test-db';
    await cluster.kubectl(['apply', '-f', '-'], { stdin: localInstance(name) });
    const { resourceVersion } = (await stage.instance(name)).metadata;
    await cluster.kubectl(['label', 'instance', name, '-n', 'tenant-acme', 'changed=since']);
    const remove = async (version: string, pointer: string) =>
      new KubeSyncCluster(stage.admin.send).removeFields(
        'Instance',
        objectRef('Instance', `acme/${name}`),
        version,
        [pointer],
      );
    await expect(remove(resourceVersion, '/spec/parameters')).rejects.toMatchObject({ status: 409 });
    const now = (await stage.instance(name)).metadata.resourceVersion;
    await expect(remove(now, '/spec/blueprintRef')).rejects.toMatchObject({
      status: 422,
      message: expect.stringContaining('spec.blueprintRef: Required value'),
    });
    await remove(now, '/spec/parameters');
  });

  it('restores what was edited while it was down, from the feed', async () => {
    plane.put('Instance', 'acme/db', 'i1', instance(1));
    const first = await startLink();
    await applied();
    await persisted();
    await first.stop();
    await cluster.kubectl([
      'patch',
      'instance',
      'db',
      '-n',
      'tenant-acme',
      '--type=merge',
      '-p',
      '{"spec":{"parameters":{"size":99}}}',
    ]);
    await startLink();
    await eventually('the edit is undone', async () => (await db()).spec.parameters.size === 1);
    await eventually('drift is reported', () =>
      plane.drift.some((item) => item.path === '/spec/parameters/size'),
    );
  });

  it('brings back an object that somebody deleted here', async () => {
    plane.put('Instance', 'acme/db', 'i1', instance(1));
    await startLink();
    const { metadata } = await applied();
    await cluster.kubectl(['delete', 'instance', 'db', '-n', 'tenant-acme']);
    await eventually('a new object', async () => {
      const object = await db();
      return object?.status?.desired && object.metadata.uid !== metadata.uid;
    });
    await eventually('drift is reported', () =>
      plane.drift.some((item) => item.path === '' && item.actual === 'deleted'),
    );
  });

  it('makes its own object again, with all that its status says, when somebody deletes it', async () => {
    plane.put('DataPlane', DATA_PLANE_NAME, 'd1', {});
    const { events } = await startLink();
    await acked();
    await persisted();
    const before = await dataPlane();
    await cluster.kubectl(['delete', 'dataplane', DATA_PLANE_NAME]);
    const after = await eventually('another one', async () => {
      const object = await dataPlane();
      return object && object.metadata.uid !== before.metadata.uid && object.status?.conditions && object;
    });
    expect(after.status).toMatchObject({
      dataPlaneId: before.status.dataPlaneId,
      epoch: before.status.epoch,
      cursor: before.status.cursor,
      holder: before.status.holder,
    });
    expect(events).toContainEqual(expect.stringMatching(/ ObjectDeleted somebody deleted it; made again/));
  });

  // Invariant L16.
  it('holds a mass deletion, also across a restart, until a person releases it, and says who did', async () => {
    for (let index = 0; index < 14; index += 1)
      plane.put('Instance', `acme/i${index}`, `id${index}`, instance());
    const first = await startLink();
    await acked();
    for (let index = 0; index < 14; index += 1) plane.del('Instance', `acme/i${index}`);
    await acked();
    expect((await get('instances')).items).toHaveLength(9);
    expect(plane.nacks.filter((nack) => nack.code === 'MASS_DELETE_HELD')).toHaveLength(9);
    await eventually('the condition', async () =>
      (await dataPlane()).status.conditions.some(
        (condition: { reason: string }) => condition.reason === 'DeletionHeld',
      ),
    );
    // What waits for a person is asked for again, by whoever comes next.
    await eventually(
      'the cursor stays below the first held tombstone',
      async () => BigInt((await dataPlane()).status.cursor) <= plane.head - 9n,
    );
    await first.stop();
    const second = await startLink();
    await eventually('resumed', () => plane.connected === 1);
    await acked();
    expect(second.transport.writes).toEqual([]);
    expect(plane.queries.at(-1)?.digest).toBe(plane.digest);
    await cluster.kubectl([
      'annotate',
      'dataplane',
      DATA_PLANE_NAME,
      `${ANNOTATIONS.releaseDeletions}=alice`,
    ]);
    await eventually('all are gone', async () => (await get('instances')).items.length === 0);
    const released = second.events.filter((event) => / Deletions?Released /.test(event));
    expect(released.filter((event) => event.startsWith('DataPlane'))).toEqual([
      'DataPlane default DeletionsReleased alice released 9 held deletions',
    ]);
    expect(released.filter((event) => event.startsWith('Instance acme/i'))).toHaveLength(9);
    expect(released.at(-1)).toMatch(/ DeletionReleased alice released its deletion$/);
    await eventually('the permission is used up and the condition gone', async () => {
      const { metadata, status } = await dataPlane();
      const held = status.conditions.some(
        (condition: { reason: string }) => condition.reason === 'DeletionHeld',
      );
      return metadata.annotations?.[ANNOTATIONS.releaseDeletions] === undefined && !held;
    });
  });

  // Invariant L17.
  it('holds nothing that is released by a row which comes with its tombstone', async () => {
    plane.put('DataPlane', DATA_PLANE_NAME, 'd1', { deletionBudgetPercent: 0 });
    plane.put('Instance', 'acme/db', 'i1', instance());
    await startLink();
    await applied();
    await acked();
    const releasedDeletions = [{ id: 'i1', generation: 2 }];
    plane.put('DataPlane', DATA_PLANE_NAME, 'd1', { deletionBudgetPercent: 0, releasedDeletions });
    plane.del('Instance', 'acme/db');
    await eventually('it is gone', async () => !(await db()));
    await acked();
    expect(plane.nacks).toEqual([]);
  });

  // Invariant L17.
  it('lets go exactly those held deletions that the signed row of the data plane names', async () => {
    plane.put('DataPlane', 'default', 'dp', {});
    for (let index = 0; index < 9; index += 1)
      plane.put('Instance', `acme/i${index}`, `id${index}`, instance());
    const first = await startLink();
    await acked();
    for (let index = 0; index < 9; index += 1) plane.del('Instance', `acme/i${index}`);
    await acked();
    const left = async () => (await get('instances')).items.map(({ metadata }: KubeObject) => metadata.name);
    const names: string[] = await left();
    expect(names).toHaveLength(4);
    await eventually('the count', async () => (await dataPlane()).status.heldDeletions === 4);
    const released = (list: string[], generation = 2) =>
      list.map((name) => ({ id: name.replace('i', 'id'), generation }));
    const edit = JSON.stringify({ spec: { releasedDeletions: released(names) } });
    await cluster.kubectl(['patch', 'dataplane', DATA_PLANE_NAME, '--type=merge', '-p', edit]);
    await eventually('the edit is undone', async () => !(await dataPlane()).spec.releasedDeletions);
    // Of an earlier deletion of the same resource.
    plane.put('DataPlane', 'default', 'dp', { releasedDeletions: released(names.slice(0, 1), 1) });
    await acked();
    expect(await left()).toEqual(names);
    plane.put('DataPlane', 'default', 'dp', { releasedDeletions: released(names.slice(0, 1)) });
    await eventually('one is gone', async () => (await left()).length === 3);
    expect(await left()).toEqual(names.slice(1));
    await first.stop();
    plane.put('DataPlane', 'default', 'dp', { releasedDeletions: released(names.slice(0, 2)) });
    const second = await startLink();
    await eventually('the next one is gone', async () => (await left()).length === 2);
    await eventually('the new count', async () => (await dataPlane()).status.heldDeletions === 2);
    expect(await left()).toEqual(names.slice(2));
    const byThePlane = 'the control plane, whose audit says who,';
    expect(second.events).toEqual([
      `DataPlane default DeletionsReleased ${byThePlane} released 1 held deletion`,
      `Instance acme/${names[1]} DeletionReleased ${byThePlane} released its deletion`,
    ]);
  });

  it('tells a Tenant whose deletion is held, once', async () => {
    const names = Array.from({ length: 6 }, (_, index) => `t${index}`);
    for (const name of names) plane.put('Tenant', name, name, {});
    const first = await startLink();
    await acked();
    for (const name of names) plane.del('Tenant', name);
    await acked();
    const told = (events: string[]) => events.filter((event) => / DeletionHeld /.test(event));
    expect(told(first.events)).toEqual([
      expect.stringMatching(/^Tenant t\d DeletionHeld its deletion exceeds the budget .*held-deletions/),
    ]);
    await first.stop();
    const second = await startLink();
    await eventually('resumed', () => plane.connected === 1);
    await acked();
    expect(told(second.events)).toEqual([]);
  });

  // Invariant L13.
  it('keeps and reports what a snapshot does not name', async () => {
    plane.put('Instance', 'acme/db', 'i1', instance());
    plane.put('Instance', 'acme/kept', 'i2', instance());
    await startLink();
    await applied('kept');
    await acked();
    plane.forget('Instance', 'acme/db');
    plane.epoch = 'e2';
    plane.dropStreams();
    await eventually('it is reported', () =>
      plane.reports.some((report) => report.unknown.some((item) => item.id === 'i1')),
    );
    expect(await db()).toBeDefined();
    await eventually('the digests agree again', () => plane.lastAck?.digest === plane.digest);
  });

  // Invariant L11.
  it('goes on without a snapshot when another epoch has the same rows', async () => {
    plane.put('Instance', 'acme/db', 'i1', instance());
    const { transport } = await startLink();
    await applied();
    await acked();
    await persisted();
    const writes = transport.writes.filter((write) => write.includes('/instances/')).length;
    plane.epoch = 'e2';
    plane.dropStreams();
    await eventually('the new epoch is remembered', async () => (await dataPlane()).status.epoch === 'e2');
    expect(transport.writes.filter((write) => write.includes('/instances/'))).toHaveLength(writes);
  });

  // Invariant L35.
  it('finds what differs although nothing is missing, and is sent no other row', async () => {
    for (const name of ['db', ...Array.from({ length: 30 }, (_, index) => `more-${index}`)])
      plane.put('Instance', `acme/${name}`, `id-${name}`, instance());
    await startLink();
    await applied('more-29');
    await acked();
    plane.alter('Instance', 'acme/db', instance(7));
    await eventually(
      'the altered row is applied',
      async () => (await db())?.status?.desired?.generation === 2,
    );
    expect(plane.repaired).toContain('acme/db');
    expect(plane.repaired.length).toBeLessThan(6);
  });

  it('waits for a namespace that is being made and applies then', async () => {
    plane.put('Instance', 'late/db', 'i1', instance());
    await startLink();
    await ready();
    await cluster.kubectl(['create', 'namespace', 'tenant-late']);
    await eventually('it is applied', () => get('namespaces/tenant-late/instances/db'));
    await acked();
  });

  it.each([
    ['after', 0],
    ['before', 200],
  ])(
    'replaces an object whose name was given to a new resource; the watch tells %s the answer',
    async (_, delayMs) => {
      plane.put('Instance', 'acme/db', 'old', instance(1));
      const { transport } = await startLink();
      transport.delayMs = (method) => (method === 'DELETE' ? delayMs : 0);
      await applied();
      await acked();
      plane.put('Instance', 'acme/db', 'new', instance(2));
      await eventually('the new one', async () => (await db())?.status?.desired?.id === 'new');
      await eventually('the end of the old one', () =>
        plane.reports.some((report) => report.status.some((item) => item.id === 'old' && item.deleted)),
      );
    },
  );
});

const BLUEPRINT = {
  name: 'web',
  version: '1.0.0',
  parameters: { type: 'object', properties: { size: { type: 'integer' } } },
  nodes: [
    {
      id: 'config',
      manifest: { apiVersion: 'v1', kind: 'ConfigMap', data: { size: '${string(parameters.size)}' } },
    },
  ],
};
