import type { Condition } from '@felucca/contract';
import type { Cluster } from '@felucca/dev';
import { beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { TestControlPlane } from './support/control-plane.ts';
import { eventually } from './support/eventually.ts';
import type { TestTransport } from './support/kube.ts';
import { instance, localInstance, OPERATOR_NAMESPACE, SyncStage } from './support/sync-stage.ts';

const stage = SyncStage.register();
let cluster: Cluster;
let admin: TestTransport;
let plane: TestControlPlane;
beforeAll(() => {
  ({ cluster, admin } = stage);
});
beforeEach(() => {
  ({ plane } = stage);
});
const startLink = (options?: { token?: string }) => stage.startLink(options);
const db = () => stage.instance();
const dataPlane = () => stage.dataPlane();
const ready = () => stage.ready();
const applied = (name?: string) => stage.applied(name);
const conditionOf = async (type: string): Promise<Condition | undefined> =>
  (await dataPlane())?.status?.conditions?.find((condition: Condition) => condition.type === type);
const feedConnected = () => conditionOf('FeedConnected');
const acked = () => stage.acked();
const persisted = () => stage.persisted();

describe('the link while the control plane misbehaves', () => {
  const IDENTITY = `/api/v1/namespaces/${OPERATOR_NAMESPACE}/secrets/felucca-operator-identity`;
  const secretFields = async (): Promise<Record<string, string>> =>
    ((await admin.send({ method: 'GET', path: IDENTITY })).body as { data: Record<string, string> }).data;
  const setField = async (field: string, text: string | null): Promise<void> => {
    const body = { data: { [field]: text && Buffer.from(text).toString('base64') } };
    const contentType = 'application/merge-patch+json';
    await admin.send({ method: 'PATCH', path: IDENTITY, contentType, body });
  };
  const unusable = () =>
    eventually('the identity is of no use', async () => {
      const condition = await conditionOf('Joined');
      return condition?.reason === 'IdentityUnusable' && condition;
    });

  // Invariant L28.
  it('restores, reports later and loses nothing while the API is away', async () => {
    plane.put('Instance', 'acme/db', 'i1', instance(1));
    await startLink();
    await applied();
    await acked();
    await plane.goAway();
    await cluster.kubectl([
      'patch',
      'instance',
      'db',
      '-n',
      'tenant-acme',
      '--type=merge',
      '-p',
      '{"spec":{"suspend":true}}',
    ]);
    await eventually('restored without the API', async () => !(await db()).spec.suspend);
    await plane.listen();
    await eventually(
      'drift is reported at last',
      () => plane.drift.some((item) => item.path === '/spec/suspend'),
      60_000,
    );
  });

  // Invariant L23.
  it('repeats a report that was not accepted and resyncs the session on 409', async () => {
    await startLink();
    await ready();
    plane.reportStatus = 503;
    plane.put('Instance', 'acme/db', 'i1', instance(1));
    await applied();
    plane.reportStatus = 409;
    await eventually('a new session', () => plane.queries.length >= 2, 30_000);
    plane.reportStatus = 200;
    await acked();
    expect(plane.lastStatus('Instance', 'acme/db')).toMatchObject({ id: 'i1' });
  });

  // Invariant L32.
  it('notices a silent stream and a broken frame', async () => {
    await startLink();
    await ready();
    plane.heartbeatMs = 3_600_000;
    await eventually('it reconnects after 2.5 heartbeats', () => plane.queries.length >= 2, 10_000);
    await ready();
    const seen = plane.queries.length;
    plane.sendRaw('not a frame\n');
    await eventually('it reconnects at once', () => plane.queries.length > seen, 10_000);
  });

  it('turns to long polls when a proxy holds streams back', async () => {
    plane.mute = true;
    plane.put('Instance', 'acme/db', 'i1', instance(1));
    await startLink();
    await eventually('a long poll', () => plane.queries.some((query) => query.wait !== undefined), 60_000);
    await applied();
    await acked();
    plane.put('Instance', 'acme/db', 'i1', instance(2));
    await eventually('the change arrives', async () => (await db()).spec.parameters.size === 2);
  });

  // Invariant L27.
  it('says at once that its key was revoked', async () => {
    await startLink();
    await ready();
    await eventually('it says that it is connected', async () => (await feedConnected())?.status === 'True');
    plane.sendRaw(
      `${JSON.stringify({ type: 'error', code: 'REVOKED', message: 'the key was revoked', retryable: false })}\n`,
    );
    const said = await eventually('it says that it is not', async () => {
      const condition = await feedConnected();
      return condition?.status === 'False' && condition;
    });
    expect(said).toMatchObject({
      reason: 'CredentialRefused',
      message: expect.stringMatching(/was revoked/),
    });
  });

  it('says that the token was refused and joins when it gets a good one', async () => {
    const one = await startLink({ token: `fj_${'1'.repeat(32)}_${'B'.repeat(43)}` });
    // Of the connection too: an earlier process may have left word of one.
    await eventually('the conditions', async () => {
      const conditions: { type: string; reason: string }[] = (await dataPlane())?.status?.conditions ?? [];
      const refused = conditions.filter(({ reason }) => reason === 'JoinRefused').map(({ type }) => type);
      return refused.includes('Joined') && refused.includes('FeedConnected');
    });
    await one.stop();
    await startLink();
    await ready();
  });

  it.each([
    [404, 'default backend'],
    [403, '<html>forbidden</html>'],
    [409, '{"code":409,"message":"upstream"}'],
    [302, ''],
    [200, '<html>sign in</html>'],
  ])('takes the %i of a proxy for no word on its token, and joins with it', async (status, body) => {
    plane.joinAnswer = { status, body };
    await startLink();
    const said = await eventually('it says what was answered', async () => {
      const condition = await conditionOf('Joined');
      return condition?.message.includes(`HTTP ${status}`) && condition;
    });
    expect(said).toMatchObject({ status: 'False', reason: 'Disconnected' });
    plane.joinAnswer = undefined;
    await ready();
  });

  it('keeps a new token that a proxy answered, and joins with it when it gets through', async () => {
    const first = await startLink();
    await ready();
    await first.stop();
    const key = plane.joinedKey;
    plane.newToken();
    plane.joinAnswer = { status: 403, body: '<html>forbidden</html>' };
    await startLink();
    await ready();
    await eventually('it says that the token waits', async () =>
      /joined as .*; a new join token waits: .*HTTP 403/.test((await conditionOf('Joined'))?.message ?? ''),
    );
    plane.joinAnswer = undefined;
    await eventually('it joins', () => plane.joinedKey !== key, 60_000);
    await eventually(
      'it waits no more',
      async () => !(await conditionOf('Joined'))?.message.includes('waits'),
    );
  });

  // Invariant L25.
  it('repeats the join with the same key after a crash before it was remembered', async () => {
    const first = await startLink();
    await ready();
    await first.stop();
    await setField('link.json', null);
    await startLink();
    await ready();
    expect(plane.joins).toBe(2);
  });

  it.each([
    ['link.json', '{"dataPlaneId": hush'],
    ['link.json', '{"dataPlaneId": 7, "hush": "hush"}'],
    ['private-key.pem', 'hush'],
    ['joining.json', '{hush'],
    ['sealing-keys.json', '{"keys": [hush'],
  ])(
    'names the field %s of its Secret when it is broken, says nothing of what is in it, and joins without it',
    async (field, text) => {
      const first = await startLink();
      await ready();
      await first.stop();
      await setField(field, text);
      plane.newToken();
      await startLink();
      const { status, message } = await unusable();
      expect(status).toBe('False');
      expect(message).toContain(`field ${field} of Secret felucca-operator-identity`);
      expect(message).toContain('or remove it');
      expect(message).not.toContain('hush');
      await setField(field, null);
      await ready();
      await eventually('it has joined', async () => (await conditionOf('Joined'))?.status === 'True');
    },
  );

  it.each([
    [403, /Secret felucca-operator-identity: HTTP 403 .*needs get, create and update/],
    [0, /Secret felucca-operator-identity: no answer/],
  ])('names its Secret when the API server answers %i to it', async (answer, words) => {
    const { transport } = await startLink();
    transport.failWith = (_, path) => (path === IDENTITY ? answer : undefined);
    expect((await unusable()).message).toMatch(words);
    transport.failWith = () => undefined;
    await ready();
  });

  // Invariant L27.
  it('joins anew, with a new key, when it is given a new token, and opens what was sealed to it', async () => {
    const first = await startLink();
    await ready();
    await first.stop();
    const before = { key: plane.joinedKey, secret: await secretFields() };
    plane.newToken();
    const second = await startLink();
    await ready();
    expect(plane.joinedKey).not.toBe(before.key);
    const after = await secretFields();
    expect(Object.keys(after).sort()).toEqual(Object.keys(before.secret).sort());
    expect(after['sealing-keys.json']).toBe(before.secret['sealing-keys.json']);
    expect(after['private-key.pem']).not.toBe(before.secret['private-key.pem']);
    await second.stop();
    await startLink();
    await ready();
    expect(plane.joins).toBe(2);
  });

  // Invariant L25.
  it('stays the data plane that it is when it is given a token of another one', async () => {
    const first = await startLink();
    await ready();
    await first.stop();
    const before = await secretFields();
    plane.newToken();
    plane.joinsAs = 'another';
    const second = await startLink();
    await ready();
    const said = await eventually('it says so', async () => {
      const condition = await conditionOf('Joined');
      return condition?.message.includes('refused') && condition;
    });
    expect(said).toMatchObject({
      status: 'True',
      message: expect.stringMatching(/is for data plane another.*create a new one/),
    });
    const { 'refused-token.json': _, ...after } = await secretFields();
    expect(after).toEqual(before);
    await second.stop();
  });

  it.each([
    ['the control plane', `fj_${'1'.repeat(32)}_${'B'.repeat(43)}`, 1, /HTTP 401 .*create a new one/],
    ['its shape', 'not-a-token', 0, /does not look like fj_.*create a new one/],
  ])(
    'goes on with the key it has when a token is refused by %s, tries that token once, and says so until it has another',
    async (_, token, tries, words) => {
      const first = await startLink();
      await ready();
      const key = plane.joinedKey;
      await first.stop();
      for (let start = 0; start < 2; start += 1) {
        const again = await startLink({ token });
        await ready();
        const said = await eventually('it says so', async () => {
          const condition = await conditionOf('Joined');
          return condition?.message.includes('refused') && condition;
        });
        expect(said).toMatchObject({ status: 'True', message: expect.stringMatching(words) });
        await again.stop();
      }
      expect([plane.joins, plane.joinedKey]).toEqual([1 + tries, key]);
      await startLink();
      await eventually(
        'it says no more of it',
        async () => !(await conditionOf('Joined'))?.message.includes('refused'),
      );
      expect([plane.joins, plane.joinedKey]).toEqual([1 + tries, key]);
    },
  );

  it('works on while a new token waits for the control plane, and joins then', async () => {
    const first = await startLink();
    await ready();
    plane.put('Instance', 'acme/db', 'i1', instance(1));
    await applied();
    await first.stop();
    const key = plane.joinedKey;
    await plane.goAway();
    plane.newToken();
    const { transport } = await startLink();
    const edit = { spec: { suspend: true } };
    const path = '/apis/felucca.dev/v1alpha1/namespaces/tenant-acme/instances/db';
    await admin.send({ method: 'PATCH', path, contentType: 'application/merge-patch+json', body: edit });
    await eventually('restored without the API', async () => !(await db()).spec.suspend);
    // What the status remembers cannot be read at first: the link of the new key begins all the same, later.
    let failures = 2;
    transport.failWith = (method, path) =>
      method === 'GET' && path.endsWith('/dataplanes/default') && plane.joinedKey !== key && failures-- > 0
        ? 500
        : undefined;
    await plane.listen();
    await eventually('it joins', () => plane.joinedKey !== key, 60_000);
    // The former link may be connected still, and has ended by then.
    await eventually('the cluster has not answered', () => failures < 2, 60_000);
    plane.put('Instance', 'acme/db', 'i1', instance(2));
    await eventually('the change arrives', async () => (await db()).spec.parameters.size === 2, 60_000);
  });
});

describe('a link that is stopped while it becomes another', () => {
  it('starts nothing any more, also when the cluster answers late', async () => {
    const first = await startLink();
    await ready();
    await first.stop();
    const key = plane.joinedKey;
    await plane.goAway();
    plane.newToken();
    const one = await startLink();
    await eventually('the token waits', async () => (await conditionOf('Joined'))?.message.includes('waits'));
    // What the status remembers arrives when the link is told to stop: the Lease is given back then.
    let stopped: Promise<void> | undefined;
    one.transport.delayMs = (method, path) => {
      if (method === 'GET' && path.endsWith('/dataplanes/default') && plane.joinedKey !== key)
        stopped ??= one.stopLink();
      return 0;
    };
    await plane.listen();
    await eventually('it is stopped', () => stopped !== undefined, 60_000);
    const asked = plane.queries.length;
    await stopped;
    await startLink();
    await eventually('the next one is connected', () => plane.queries.length > asked && plane.connected > 0);
    expect([plane.queries.length, plane.connected]).toEqual([asked + 1, 1]);
  });
});

describe('the link beside failures of single objects', () => {
  // Invariant L9.
  it('goes on with the feed when one row keeps failing in the API server', async () => {
    const { transport } = await startLink();
    await ready();
    transport.failWith = (method, path) =>
      method === 'PATCH' && path.includes('/poison?') ? 500 : undefined;
    plane.put('Instance', 'acme/poison', 'p1', instance());
    await eventually(
      'it is refused for now',
      () => plane.nacks.some((nack) => nack.key === 'acme/poison' && nack.code === 'ApplyRejected'),
      30_000,
    );
    plane.dropStreams();
    plane.put('Instance', 'acme/db', 'i1', instance());
    await applied();
    await acked();
    transport.failWith = () => undefined;
    await eventually('it is applied after all', () => stage.instance('poison'), 60_000);
  });

  it('asks the control plane without a digest when the API server answers nothing', async () => {
    plane.put('Instance', 'acme/db', 'i1', instance());
    const { transport } = await startLink();
    await applied();
    await acked();
    transport.failWith = (_, path) => (path.includes('/instances/') ? 0 : undefined);
    plane.put('Instance', 'acme/db', 'i1', instance(2));
    await eventually('it arrived', () => transport.refused > 0);
    plane.dropStreams();
    const seen = plane.queries.length;
    await eventually(
      'it is connected again',
      () => plane.queries.length > seen && plane.connected > 0,
      30_000,
    );
    expect(plane.queries.at(-1)).toMatchObject({ cursor: '2', digest: '' });
    transport.failWith = () => undefined;
    await eventually('the change arrives', async () => (await db()).spec.parameters.size === 2, 30_000);
  });

  // Invariant L12.
  it.each([
    ['', 0],
    [' and the watch is faster than the answer', 500],
  ])(
    'deletes nothing under a new epoch before the comparison, also when it asked for everything itself%s',
    async (_, delayMs) => {
      plane.put('Instance', 'acme/db', 'old', instance());
      plane.put('Instance', 'acme/edited', 'e1', instance());
      const first = await startLink();
      await applied('edited');
      await persisted();
      await first.stop();
      // Edited while the operator is down: the next one asks for a full transfer with an empty epoch.
      await edit('edited', { parameters: { size: 9 } });
      plane.epoch = 'e2';
      plane.heartbeatMs = 3_600_000;
      plane.put('Instance', 'acme/db', 'new', instance());
      const { transport } = await startLink();
      transport.delayMs = (method) => (method === 'DELETE' ? delayMs : 0);
      await eventually('the deletion is held', () =>
        plane.nacks.some((nack) => nack.key === 'acme/db' && nack.code === 'MASS_DELETE_HELD'),
      );
      expect((await db()).status.desired.id).toBe('old');
      expect((await dataPlane()).status.epoch).toBe('e1');
      plane.heartbeatMs = 200;
      await eventually(
        'after the comparison the new one has the name',
        async () => (await db())?.status?.desired?.id === 'new',
        40_000,
      );
      await eventually('the new epoch is remembered', async () => (await dataPlane()).status.epoch === 'e2');
    },
  );

  // Invariant L15.
  it('deletes what was deleted while it was away, when only a snapshot can tell', async () => {
    plane.put('Instance', 'acme/db', 'i1', instance());
    plane.put('Instance', 'acme/kept', 'i2', instance());
    const first = await startLink();
    await applied('kept');
    await persisted();
    await first.stop();
    plane.del('Instance', 'acme/db');
    plane.compacted = plane.head;
    await startLink();
    await eventually('it is gone', async () => (await db()) === undefined);
    await eventually('its end is told', () => plane.lastStatus('Instance', 'acme/db')?.deleted === true);
    expect(await stage.instance('kept')).toBeDefined();
    expect(plane.reports.flatMap((report) => report.unknown)).toEqual([]);
  });

  it.each([
    ['before it writes', 1],
    ['after its last look', 2],
  ])(
    'tells the control plane when somebody took the name of an object that was deleted here %s',
    async (_, look) => {
      plane.put('Instance', 'acme/db', 'i1', instance());
      const { transport } = await startLink();
      await applied();
      await acked();
      let looks = 0;
      // Its answer arrives late; long enough for two commands.
      transport.delayMs = (method, path) => {
        if (method !== 'GET' || !path.endsWith('/instances/db')) return 0;
        looks += 1;
        return looks === look ? 5_000 : 0;
      };
      await stage.cluster.kubectl(['delete', 'instance', 'db', '-n', 'tenant-acme', '--wait=false']);
      await eventually('the name is free', async () => (await db()) === undefined);
      await stage.cluster.kubectl(['create', '-f', '-'], { stdin: localInstance('db', 7) });
      await eventually('it is told', () => plane.nacks.some((nack) => nack.code === 'NameConflict'));
      expect((await db()).spec.parameters.size).toBe(7);
      await stage.cluster.kubectl(['delete', 'instance', 'db', '-n', 'tenant-acme']);
      await eventually('ours is back', async () => (await db())?.status?.desired?.id === 'i1', 90_000);
    },
  );
});

const edit = (name: string, spec: object) =>
  stage.cluster.kubectl([
    ...['patch', 'instance', name, '-n', 'tenant-acme', '--type=merge'],
    ...['-p', JSON.stringify({ spec })],
  ]);
