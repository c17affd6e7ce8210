import type { KubeObject } from '@felucca/contract';
import { describe, expect, test } from 'vitest';
import { redactObject, redactText } from './redact.ts';

const object = (kind: string, body: object): KubeObject => ({
  apiVersion: 'v1',
  kind,
  metadata: { name: 'x' },
  ...body,
});
const container = (name: string, value: string) =>
  object('Deployment', {
    spec: { template: { spec: { containers: [{ name: 'c', env: [{ name, value }] }] } } },
  });
const HIDDEN = 'hunter2';

describe('what nobody else may read does not go into a report', () => {
  test.each<[string, KubeObject]>([
    ['data of a Secret', object('Secret', { data: { password: HIDDEN } })],
    ['data of a ConfigMap', object('ConfigMap', { data: { 'app.ini': HIDDEN } })],
    ['a variable with a telling name', container('DB_PASSWORD', HIDDEN)],
    ['another one', container('apiKey', HIDDEN)],
    ['credentials in an address', container('URL', `postgres://me:${HIDDEN}@db/x`)],
    ['a field with a telling name', object('Instance', { spec: { parameters: { adminPassword: HIDDEN } } })],
    ['a parameter that is marked', object('Instance', { spec: { parameters: { motto: HIDDEN } } })],
    [
      'a copy of the object in an annotation',
      {
        ...object('Secret', {}),
        metadata: {
          name: 'x',
          annotations: { 'kubectl.kubernetes.io/last-applied-configuration': `{"data":{"a":"${HIDDEN}"}}` },
        },
      },
    ],
  ])('%s', (_, made) => {
    expect(JSON.stringify(redactObject(made, new Set(['motto'])))).not.toContain(HIDDEN);
  });

  test.each([
    `password=${HIDDEN}`,
    `{"token": "${HIDDEN}"}`,
    `Authorization: Bearer ${HIDDEN}${HIDDEN}`,
    `https://me:${HIDDEN}@example.com`,
    `-----BEGIN RSA PRIVATE KEY-----\n${HIDDEN}\n-----END RSA PRIVATE KEY-----`,
    `eyJhbGciOiJF.eyJ${HIDDEN}${HIDDEN}.${HIDDEN}`,
    `fj_0123456789abcdef0123456789abcdef_${HIDDEN}${HIDDEN}`,
    `fel_0123456789abcdef0123456789abcdef_${HIDDEN}${HIDDEN}`,
  ])('of a text: %s', (text) => {
    expect(redactText(`before ${text} after`)).not.toContain(HIDDEN);
  });
});

describe('what explains a failure stays', () => {
  test.each<[string, KubeObject, string]>([
    ['a variable', container('LOG_LEVEL', 'debug'), 'debug'],
    [
      'where a secret is',
      object('Pod', { spec: { volumes: [{ secret: { secretName: 'db-credentials' } }] } }),
      'db-credentials',
    ],
    [
      'a reference to a key of a Secret',
      object('Pod', {
        env: [{ name: 'PASSWORD', valueFrom: { secretKeyRef: { name: 'db', key: 'password' } } }],
      }),
      '"key":"password"',
    ],
    ['a name of a Secret', { ...object('Secret', {}), metadata: { name: 'db-token' } }, 'db-token'],
    [
      'keys of a Secret',
      object('Secret', { data: { password: HIDDEN } }),
      '"password":"(removed: 7 characters)"',
    ],
    ['a parameter', object('Instance', { spec: { parameters: { size: 'small' } } }), 'small'],
    [
      'a condition',
      object('Instance', { status: { conditions: [{ message: 'pod x cannot get its image' }] } }),
      'its image',
    ],
  ])('%s', (_, made, kept) => {
    expect(JSON.stringify(redactObject(made))).toContain(kept);
  });
});
