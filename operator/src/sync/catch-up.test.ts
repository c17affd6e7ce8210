import { describe, expect, it } from 'vitest';
import { caughtUp } from './catch-up.ts';
import type { LiveObject } from './cluster.ts';
import type { KindWatch, Watches } from './watches.ts';

const tenant = (name: string, resourceVersion: string): LiveObject => ({
  apiVersion: 'felucca.dev/v1alpha1',
  kind: 'Tenant',
  metadata: { name, uid: `uid-${name}`, resourceVersion },
});
const watchOf = (objects: LiveObject[]): KindWatch => ({
  all: () => objects,
  get: ({ name }) => objects.find((object) => object.metadata.name === name),
  listedMs: () => 0,
  listen: () => () => {},
  listAgain: () => {},
});
const watchesOf = (tenants: LiveObject[]): Watches => ({
  DataPlane: watchOf([]),
  Blueprint: watchOf([]),
  Tenant: watchOf(tenants),
  Instance: watchOf([]),
});
const quick = { timeoutMs: 60, relistMs: 10 };

describe('catching up with the API server', () => {
  it.each([
    ['an older version', [tenant('a', '9')]],
    ['a missing object', []],
    ['an object that is gone', [tenant('a', '10'), tenant('b', '8')]],
  ])('is not done while a cache shows %s', async (_, cached) => {
    const list = (kind: string) => Promise.resolve(kind === 'Tenant' ? [tenant('a', '10')] : []);
    await expect(caughtUp({ list }, watchesOf(cached), quick)).rejects.toThrow(
      /watch of Tenant is behind.*: [ab] (has version 10, in the cache|is gone, in the cache)/,
    );
  });

  it('is done when the cache shows what is listed, or what came after it', async () => {
    const list = (kind: string) => Promise.resolve(kind === 'Tenant' ? [tenant('a', '10')] : []);
    const lists = await caughtUp({ list }, watchesOf([tenant('a', '11')]), quick);
    expect(lists.Tenant.map(({ metadata }) => metadata.resourceVersion)).toEqual(['10']);
  });

  it('has a cache listed anew that stays wrong, which says what was wrong with it', async () => {
    const list = (kind: string) => Promise.resolve(kind === 'Tenant' ? [tenant('a', '10')] : []);
    const cached = [tenant('a', '10'), tenant('ghost', '8')];
    const told: string[] = [];
    const listAgain = (why: string): void => {
      told.push(why);
      cached.pop();
    };
    const watches = { ...watchesOf([]), Tenant: { ...watchOf(cached), listAgain } };
    await caughtUp({ list }, watches, { timeoutMs: 5_000, relistMs: 10, distrustMs: 50 });
    expect(told).toEqual(['ghost is gone, in the cache it has version 8']);
  });

  it('asks nothing about caches that were listed after the last leader had gone', async () => {
    const asked: string[] = [];
    const list = (kind: string) => {
      asked.push(kind);
      return Promise.resolve([]);
    };
    const watches = watchesOf([tenant('a', '10')]);
    watches.Tenant.listedMs = () => 5;
    watches.Blueprint.listedMs = () => 4;
    const lists = await caughtUp({ list }, watches, { ...quick, unheldSinceMs: 5 });
    expect(lists.Tenant.map(({ metadata }) => metadata.name)).toEqual(['a']);
    expect(asked).toEqual(['DataPlane', 'Blueprint', 'Instance']);
  });

  it('lists again, because what it waits for may have been deleted meanwhile', async () => {
    const answers = [[tenant('a', '10')], []];
    const list = (kind: string) => Promise.resolve((kind === 'Tenant' && answers.shift()) || []);
    expect((await caughtUp({ list }, watchesOf([]), { timeoutMs: 5_000, relistMs: 10 })).Tenant).toEqual([]);
  });
});
