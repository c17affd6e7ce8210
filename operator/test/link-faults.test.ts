import dns, { type LookupAddress, type LookupOptions } from 'node:dns';
import { DATA_PLANE_NAME } from '@felucca/contract';
import { type Cluster, startCluster } from '@felucca/dev';
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest';
import { CONFIG_BLUEPRINT, ControlApi } from './support/control-api.ts';
import { applyDefinitions } from './support/definitions.ts';
import { eventually } from './support/eventually.ts';
import { type Endpoint, type TestTransport, testTransport } from './support/kube.ts';
import { type RunningLink, runLink } from './support/link.ts';
import { type Call, LinkProxy } from './support/link-proxy.ts';
import { TlsFront } from './support/tls-front.ts';

const INSTANCES = '/v1/organizations/acme/instances';
const NAMESPACE = 'felucca-system';
/** The control plane's name, which only this process can resolve: to an address, or to nothing. */
const HOST = 'felucca.test';
let address: string | undefined = '127.0.0.1';
type Lookup = (error: NodeJS.ErrnoException | null, found: string | LookupAddress[], family?: number) => void;
const resolver = vi.spyOn(dns, 'lookup').mockImplementation(((
  name: string,
  options: LookupOptions,
  done: Lookup,
) => {
  const found = name === HOST ? address : name;
  if (found === undefined)
    return done(Object.assign(new Error(`getaddrinfo ENOTFOUND ${name}`), { code: 'ENOTFOUND' }), '');
  return options.all ? done(null, [{ address: found, family: 4 }]) : done(null, found, 4);
}) as typeof dns.lookup);
// biome-ignore lint/suspicious/noExplicitAny: objects as the API server returns them
type Live = any;

let api: ControlApi;
let cluster: Cluster;
let proxy: LinkProxy;
let front: TlsFront;
let link: RunningLink;
let admin: TestTransport;
let made = 0;

beforeAll(async () => {
  const name = `link-faults-${process.pid}`;
  [api, cluster] = await Promise.all([ControlApi.start(name), startCluster({ name, provider: 'bare' })]);
  const endpoint: Endpoint = {
    server: cluster.server,
    caPem: cluster.caPem,
    token: cluster.adminToken ?? '',
  };
  admin = testTransport(endpoint);
  await applyDefinitions(cluster);
  for (const namespace of [NAMESPACE, 'tenant-acme'])
    await cluster.kubectl(['create', 'namespace', namespace]);
  await api.call('POST', '/v1/organizations', { name: 'acme' });
  await api.call('POST', '/v1/blueprints', CONFIG_BLUEPRINT);
  await api.call('POST', '/v1/data-planes', { name: 'test' });
  const { token } = await api.call('POST', '/v1/data-planes/test/join-tokens', {});
  proxy = await LinkProxy.start(api.url);
  front = await TlsFront.start(HOST, proxy.url);
  link = await runLink({ endpoint, apiUrl: front.url, tls: front.files, token, namespace: NAMESPACE });
  await order();
});
afterAll(async () => {
  await link?.stop();
  await front?.stop();
  await proxy?.stop();
  resolver.mockRestore();
  admin?.close();
  await api?.stop();
  await cluster?.stop();
});

async function live(name: string): Promise<Live> {
  const path = `/apis/felucca.dev/v1alpha1/namespaces/tenant-acme/instances/${name}`;
  const { status, body } = await admin.send({ method: 'GET', path });
  return status === 200 ? body : undefined;
}
const place = (name: string, size = 1): Promise<Live> =>
  api.call('POST', INSTANCES, {
    name,
    dataPlane: 'test',
    blueprint: 'web',
    version: '1.0.0',
    parameters: { size },
  });
const applied = (name: string, size = 1, timeoutMs = 60_000): Promise<Live> =>
  eventually(
    `${name} has size ${size}`,
    async () => {
      const object = await live(name);
      return object?.spec.parameters.size === size && object.status?.desired ? object : undefined;
    },
    timeoutMs,
  );
/** A new order that arrives: the link works. */
async function order(): Promise<Live> {
  made += 1;
  await place(`probe-${made}`);
  return applied(`probe-${made}`);
}
const isReport = ({ method, path }: Call): boolean => method === 'POST' && path.endsWith('/reports');
const isFeed = ({ method, path }: Call): boolean => method === 'GET' && path.endsWith('/sync');
const isDelta = (line: string): boolean => line.startsWith('{"type":"delta"') && line.includes('"op":"put"');

/** Whatever happened: both sides agree in the end, nothing was deleted, and the next order arrives. */
async function healed(): Promise<void> {
  proxy.fault = {};
  proxy.closed = false;
  await order();
  await eventually(
    'both sides agree',
    async () => {
      const { link: seen } = await api.call('GET', '/v1/data-planes/test');
      return seen.connected && seen.lag === '0';
    },
    60_000,
  );
  const { items: refused } = await api.call('GET', '/v1/data-planes/test/refused-rows');
  expect(refused).toEqual([]);
  const { body } = await admin.send({ method: 'GET', path: '/apis/felucca.dev/v1alpha1/instances' });
  const { items } = await api.call('GET', `${INSTANCES}?limit=200`);
  expect((body as Live).items.map((one: Live) => one.metadata.name).sort()).toEqual(
    items.map(({ name }: Live) => name).sort(),
  );
}

describe('the link between a real control-api and a real operator', () => {
  afterEach(healed);

  // Invariant L28.
  it('C1: cut for a while, what was ordered meanwhile arrives afterwards as a delta', async () => {
    proxy.closed = true;
    proxy.cut();
    await place('cut-1');
    await place('cut-2');
    await new Promise((resolve) => setTimeout(resolve, 2_000));
    expect(await live('cut-1')).toBeUndefined();
    proxy.closed = false;
    await Promise.all([applied('cut-1'), applied('cut-2')]);
  });

  // Invariant L23.
  it('C2: answers get lost on their way back: each report counts once, and arrives', async () => {
    let lost = 0;
    proxy.fault = {
      answer: (call) => {
        if (!isReport(call) || lost >= 4) return undefined;
        lost += 1;
        return 'lose';
      },
    };
    const { operation } = await place('one-way');
    await applied('one-way');
    await eventually('four answers were lost', () => lost === 4, 30_000);
    await eventually(
      'the control plane knows what was applied',
      async () => (await api.call('GET', `${INSTANCES}/one-way/observed`)).generation === 1,
      60_000,
    );
    expect(operation).toBeDefined();
  });

  // Invariant L7.
  it('C3: every frame comes twice: applied once', async () => {
    proxy.cut();
    proxy.fault = { line: (line) => (line.startsWith('{"type":"delta"') ? [line, line] : [line]) };
    await place('twice');
    const { metadata } = await applied('twice');
    await api.call('PATCH', `${INSTANCES}/twice`, { parameters: { size: 2 } });
    const after = await applied('twice', 2);
    expect([after.metadata.uid, after.metadata.generation]).toEqual([metadata.uid, metadata.generation + 1]);
  });

  // Invariant L2.
  it('C4: a later frame overtakes an earlier one: the gap is seen, and nothing is skipped', async () => {
    let held: string | undefined;
    proxy.fault = {
      line: (line) => {
        if (!isDelta(line)) return [line];
        if (held === undefined) {
          held = line;
          return [];
        }
        return [line, held];
      },
    };
    await place('first');
    await eventually('the frame of the first is held', () => held, 30_000);
    await place('second');
    await Promise.all([applied('first'), applied('second')]);
  });

  // Invariant L32.
  it('C5: a frame is cut in the middle: the connection ends, and the row comes with the next', async () => {
    let cuts = 0;
    proxy.fault = {
      line: (line) => [isDelta(line) && cuts === 0 ? line.slice(0, line.length / 2) : line],
      cutsAfter: (line) => {
        if (!isDelta(line) || cuts > 0) return false;
        cuts += 1;
        return true;
      },
    };
    await place('truncated');
    await applied('truncated');
    expect(cuts).toBe(1);
  });

  // Invariant L24.
  it('C5: a row is spoilt on its way: it is not applied, and fetched again', async () => {
    let spoilt = 0;
    proxy.fault = {
      line: (line) => {
        if (!isDelta(line) || spoilt > 0) return [line];
        spoilt += 1;
        return [line.replace('"size":41', '"size":43')];
      },
    };
    await place('spoilt', 41);
    await eventually('the frame was spoilt', () => spoilt === 1, 30_000);
    const object = await applied('spoilt', 41);
    // It never was anything else.
    expect(object.metadata.generation).toBe(1);
  });

  // Invariant L32.
  it('C6: a frame that never ends is given up, and the next connection brings it', async () => {
    let slow = 0;
    proxy.fault = {
      line: async (line) => {
        if (!isDelta(line) || slow > 0) return [line];
        slow += 1;
        // Longer than two and a half heartbeats.
        await new Promise((resolve) => setTimeout(resolve, 50_000).unref());
        return [line];
      },
    };
    await place('slow');
    await applied('slow', 1, 150_000);
    expect(slow).toBe(1);
  }, 180_000);

  // Invariant L32.
  it('C7: a frame that is larger than any may be ends the connection, not the process', async () => {
    let huge = 0;
    const before = process.memoryUsage().rss;
    proxy.fault = {
      line: (line) => {
        if (!isDelta(line) || huge > 0) return [line];
        huge += 1;
        return [`{"type":"delta","x":"${'x'.repeat(20 * 1024 * 1024)}"}`];
      },
    };
    await place('huge');
    await applied('huge');
    expect(huge).toBe(1);
    expect(process.memoryUsage().rss - before).toBeLessThan(300 * 1024 * 1024);
  });

  // Invariant L31.
  it('C8: while the control plane refuses everybody, it is asked seldom, and as it says', async () => {
    let refused = 0;
    const hellosMs: number[] = [];
    proxy.cut();
    proxy.fault = {
      request: (call) => {
        if (!isFeed(call) && !isReport(call)) return undefined;
        if (isFeed(call)) hellosMs.push(performance.now());
        refused += 1;
        return refused % 2
          ? { status: 503, headers: { 'retry-after': '1' } }
          : { status: 429, headers: { 'retry-after': '2' } };
      },
    };
    await place('refused');
    await eventually('it came three times', () => hellosMs.length >= 3, 120_000);
    for (const [index, atMs] of hellosMs.entries())
      if (index > 0) expect(atMs - (hellosMs[index - 1] ?? 0)).toBeGreaterThan(950);
    expect(await live('refused')).toBeUndefined();
    proxy.fault = {};
    await applied('refused');
  }, 180_000);

  async function saysThatItIsAway(why: RegExp): Promise<void> {
    const condition = async () => {
      const path = `/apis/felucca.dev/v1alpha1/dataplanes/${DATA_PLANE_NAME}`;
      const { body } = await admin.send({ method: 'GET', path });
      return (body as Live).status?.conditions?.find(({ type }: Live) => type === 'FeedConnected');
    };
    let last: string | undefined;
    await eventually(
      `it says ${why}`,
      async () => {
        const { status, message } = (await condition()) ?? {};
        last = `${status} ${message}`;
        return status === 'False' && why.test(message) && message.includes(`https://${HOST}:`);
      },
      40_000,
    ).catch((error: Error) => {
      throw new Error(`${error.message}, and it says: ${last}`);
    });
  }

  it('C9: a certificate ends: what is open goes on, nothing new is trusted, and a renewed one is taken at once', async () => {
    const authority = await front.authority('first');
    await front.serve(authority, new Date(Date.now() - 1_000));
    // The open stream was begun with a certificate that was good then.
    await order();
    front.cut();
    await place('ordered-meanwhile');
    await saysThatItIsAway(/certificate has expired/);
    expect(await live('ordered-meanwhile')).toBeUndefined();
    await front.serve(authority);
    await applied('ordered-meanwhile');
  });

  it('C9: authority and client certificate change in mid-stream, and no process is started again', async () => {
    const next = await front.authority('next');
    await front.serve(next);
    front.cut();
    await saysThatItIsAway(/self-signed certificate|unable to (verify|get)|certificate signature failure/);
    front.trust(next);
    await saysThatItIsAway(/alert|certificate required|hang up|ECONNRESET|EPIPE|: closed/i);
    await front.giveClient(next);
    await order();
  });

  it('C11: a name that does not resolve, then to somebody else, then to the new address', async () => {
    address = undefined;
    front.cut();
    await place('unresolved');
    await saysThatItIsAway(/ENOTFOUND/);
    address = '127.0.0.77';
    await saysThatItIsAway(/ECONNREFUSED/);
    address = '127.0.0.1';
    await applied('unresolved');
  });
});
