import { type BlueprintObject, blueprintObjectName } from '@felucca/contract';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { conditionOf, Driver } from './reconcile-driver.ts';

// A child that is ready once somebody marks it, and has a minute for it.
const spec = {
  name: 'slow',
  version: '1.0.0',
  parameters: { type: 'object', properties: { text: { type: 'string', default: 'a' } } },
  nodes: [
    {
      id: 'config',
      manifest: { apiVersion: 'v1', kind: 'ConfigMap', data: { text: '${params.text}' } },
      ready: ['${self.data.mark == params.text}'],
      deadline: { seconds: 60, audience: 'tenant', reason: 'NoMark', message: 'mark it' },
    },
  ],
};
const blueprint = {
  apiVersion: 'felucca.dev/v1alpha1',
  kind: 'Blueprint',
  metadata: { name: blueprintObjectName(spec.name, spec.version) },
  spec,
} as unknown as BlueprintObject;

let driver: Driver;
let namespace: string;
beforeAll(async () => {
  driver = await Driver.start('reconcilers-deadline', 'bare');
  namespace = await driver.prepare('acme', blueprint);
  await driver.order(namespace, 'one', { blueprintRef: { name: 'slow', version: '1.0.0' } });
});
afterAll(() => driver?.stop());

const later = (seconds: number): void => {
  const at = driver.now().getTime() + seconds * 1000;
  driver.now = () => new Date(at);
};
const look = async () => {
  await driver.step(namespace, 'one');
  return conditionOf(await driver.instance(namespace, 'one'), 'Ready');
};
const mark = (text: string) => {
  const patch = JSON.stringify({ data: { mark: text } });
  return driver.cluster.kubectl(['patch', 'configmap', 'one-config', '-n', namespace, '-p', patch]);
};

test('waits without a word until the deadline, and then says what it is, why and for whom', async () => {
  expect(await look()).toMatchObject({ reason: 'ChildrenProgressing' });
  expect(await driver.settledWrites(namespace, 'one')).toEqual([]);
  later(58);
  expect(await look()).toMatchObject({ reason: 'ChildrenProgressing' });
  expect(await driver.settledWrites(namespace, 'one')).toEqual([]);
  later(4);
  expect(await look()).toMatchObject({
    status: 'False',
    reason: 'ChildFailed',
    message: expect.stringMatching(
      /^ConfigMap\/one-config: NoMark: not ready within 60 s: .*mark.*; mark it \(for the tenant\)$/,
    ),
  });
  expect(await driver.settledWrites(namespace, 'one')).toEqual([]);
});

test('still knows it after a restart, and writes nothing for it', async () => {
  driver.restart();
  expect(await look()).toMatchObject({ reason: 'ChildFailed' });
  expect(driver.api.writes).toEqual([]);
});

test('gives all of its time to what was put right', async () => {
  await driver.patch(namespace, 'one', { parameters: { text: 'b' } });
  expect(await look()).toMatchObject({ reason: 'ChildrenProgressing' });
  later(58);
  expect(await look()).toMatchObject({ reason: 'ChildrenProgressing' });
  await mark('b');
  expect(await look()).toMatchObject({ status: 'True' });
});

test('gives all of its time to what was ready for long', async () => {
  later(86_400);
  await mark('lost');
  expect(await look()).toMatchObject({ reason: 'ChildrenProgressing' });
  later(62);
  expect(await look()).toMatchObject({ reason: 'ChildFailed' });
  await mark('b');
  expect(await look()).toMatchObject({ status: 'True' });
});
