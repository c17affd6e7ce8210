import type { Nack } from '@felucca/contract';
import { Registry } from 'prom-client';
import { beforeEach, describe, expect, it } from 'vitest';
import { RefusedRows } from './refused-rows.ts';
import { SyncMetrics } from './sync-metrics.ts';

let told: string[];
let events: string[];
let changes: number;
let refused: RefusedRows;
let registry: Registry;
let metrics: SyncMetrics;
beforeEach(() => {
  [told, events, changes] = [[], [], 0];
  registry = new Registry();
  metrics = new SyncMetrics(registry);
  begin();
});
/** A new link of the same process. */
function begin(): void {
  refused = new RefusedRows({
    metrics,
    outbox: {
      nack: ({ key, code }) => told.push(`${key} ${code}`),
      nackResolved: ({ key }) => told.push(`${key} resolved`),
    },
    emit: (kind, key, uid, { reason, message }) => events.push(`${kind} ${key} ${uid} ${reason} ${message}`),
    dataPlaneUid: () => 'uid-dp',
    onChange: () => {
      changes += 1;
    },
  });
}
const nack = (over: Partial<Nack> = {}): Nack => ({
  kind: 'Blueprint',
  key: 'web-1-0-0',
  rev: '3',
  hash: '',
  code: 'NameConflict',
  message: 'somebody else applied it',
  retryable: true,
  ...over,
});

describe('a refused row', () => {
  it('is an Event on the object that has the name, once, however often it is tried', () => {
    for (let attempt = 0; attempt < 5; attempt += 1) refused.refuse(nack(), 'uid-1');
    expect(events).toEqual([
      'Blueprint web-1-0-0 uid-1 RowRefused the row of the control plane is not applied here, NameConflict: somebody else applied it',
    ]);
    expect(told).toHaveLength(5);
    expect(changes).toBe(1);
  });

  it('is an Event on the DataPlane when nothing has the name', () => {
    refused.refuse(
      nack({ kind: 'Instance', key: 'acme/db', code: 'ApplyRejected', message: 'no' }),
      undefined,
    );
    expect(events).toEqual([
      'DataPlane default uid-dp RowRefused Instance acme/db of the control plane is not applied here, ApplyRejected: no',
    ]);
  });

  it('is news again for another reason, and after it had been applied', () => {
    refused.refuse(nack(), 'u');
    refused.refuse(nack({ code: 'ApplyRejected' }), 'u');
    refused.resolve('Blueprint', 'web-1-0-0');
    expect(refused.summary()).toBeUndefined();
    refused.refuse(nack(), 'u');
    expect(events).toHaveLength(3);
    expect(told).toContain('web-1-0-0 resolved');
  });

  it('that is a held deletion is told as such elsewhere', () => {
    refused.refuse(nack({ code: 'MASS_DELETE_HELD' }), 'u');
    expect([events, refused.summary(), told.length]).toEqual([[], undefined, 1]);
  });

  it('whose tombstone met an object without our mark is over when that is gone; a conflict is not', () => {
    refused.refuse(nack({ code: 'IdMismatch' }), 'u');
    refused.vanished('Blueprint', 'web-1-0-0');
    expect(refused.summary()).toBeUndefined();
    refused.refuse(nack(), 'u');
    refused.vanished('Blueprint', 'web-1-0-0');
    expect(refused.summary()).toBeDefined();
  });

  it('is counted by its code for as long as it is refused, by the link that there is', async () => {
    const counts = async () => {
      const { values } = (await registry.getMetricsAsJSON()).find(
        ({ name }) => name === 'felucca_refused_rows',
      )!;
      return Object.fromEntries(
        values.filter(({ value }) => value !== 0).map(({ labels, value }) => [labels['code'], value]),
      );
    };
    expect(await counts()).toEqual({});
    refused.refuse(nack({ id: 'a' }), 'u');
    refused.refuse(nack({ id: 'a' }), 'u');
    refused.refuse(nack({ id: 'b', code: 'IdMismatch' }), 'u');
    refused.refuse(nack({ key: 'pg-1-0-0' }), 'u');
    expect(await counts()).toEqual({ NameConflict: 2, IdMismatch: 1 });
    refused.refuse(nack({ id: 'a', code: 'ApplyRejected' }), 'u');
    refused.refuse(nack({ id: 'b', code: 'MASS_DELETE_HELD' }), 'u');
    expect(await counts()).toEqual({ NameConflict: 1, ApplyRejected: 1 });
    refused.resolve('Blueprint', 'web-1-0-0');
    expect(await counts()).toEqual({ NameConflict: 1 });
    begin();
    expect(await counts()).toEqual({});
  });

  it('is summed up in bounded text and in one order', () => {
    const keys = ['g', 'f', 'e', 'd', 'c', 'b', 'a'];
    for (const key of keys)
      refused.refuse(nack({ kind: 'Instance', key: `acme/${key}`, message: 'x'.repeat(1024) }), 'u');
    const text = refused.summary()!;
    expect(text).toMatch(
      /^7 rows of the control plane are not applied here: Instance tenant-acme\/a \(NameConflict: x+…; /,
    );
    expect(text).not.toContain('tenant-acme/f');
    expect(text.length).toBeLessThan(2_000);
    for (const key of keys.slice(1)) refused.resolve('Instance', `acme/${key}`);
    expect(refused.summary()).toMatch(
      /^1 row of the control plane is not applied here: Instance tenant-acme\/g /,
    );
  });
});
