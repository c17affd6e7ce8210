import { type Json, valueAt } from './pointer.ts';
import type { State } from './state.ts';
import type { Expectation } from './subjects.ts';

const SIZES: Record<string, { cpu: string; memory: string; limit: string; buffers: string }> = {
  small: { cpu: '50m', memory: '128Mi', limit: '256Mi', buffers: '64MB' },
  medium: { cpu: '500m', memory: '1Gi', limit: '1Gi', buffers: '256MB' },
  large: { cpu: '1', memory: '4Gi', limit: '4Gi', buffers: '1GB' },
};

/** What a person would check by hand about a Postgres Instance. */
export function expectPostgres(spec: Json, { children, status }: State): Expectation[] {
  const parameter = (name: string, otherwise: unknown): unknown =>
    valueAt(spec, ['parameters', name]) ?? otherwise;
  const set = (...path: string[]): unknown => valueAt(children, ['StatefulSet/<name>-postgres', ...path]);
  const container = (...path: string[]): unknown =>
    set('spec', 'template', 'spec', 'containers', '0', ...path);
  const size = SIZES[String(parameter('size', ''))];
  const access = parameter('access', 'cluster');
  const policy = valueAt(children, ['NetworkPolicy/<name>-access']);
  const settings = Object.entries(parameter('settings', {}) as Json);
  const lines = [
    `max_connections = ${parameter('maxConnections', 100)}`,
    `shared_buffers = ${size?.buffers}`,
    ...settings.map(([name, value]) => `${name} = '${value}'`),
  ];
  const file = String(valueAt(children, ['ConfigMap/<name>-config', 'data', 'postgresql.conf'])).split('\n');
  const password = valueAt(children, ['Secret/<name>-credentials', 'data', 'password']);
  return [
    {
      what: 'replicas',
      actual: set('spec', 'replicas'),
      expected: spec['suspend'] === true ? 0 : 1,
    },
    {
      what: 'image',
      actual: container('image'),
      expected: `felucca/postgres:${parameter('version', '18')}`,
    },
    {
      what: 'requests',
      actual: container('resources', 'requests'),
      expected: { cpu: size?.cpu, memory: size?.memory },
    },
    {
      what: 'memory limit',
      actual: container('resources', 'limits', 'memory'),
      expected: size?.limit,
    },
    {
      what: 'storage',
      actual: set('spec', 'volumeClaimTemplates', '0', 'spec', 'resources', 'requests', 'storage'),
      expected: `${parameter('storageGi', 1)}Gi`,
    },
    { what: 'settings', actual: lines.filter((line) => !file.includes(line)), expected: [] },
    {
      what: 'number of settings',
      actual: file.filter((line) => line.trim() !== '').length,
      expected: 5 + settings.length,
    },
    {
      what: 'who may connect',
      actual: policy === undefined ? 'organization' : isOpen(policy) ? 'anywhere' : 'cluster',
      expected: access,
    },
    {
      what: 'length of the password',
      actual: Buffer.from(String(password), 'base64').length,
      expected: 32,
    },
    {
      what: 'uri',
      actual: valueAt(status, ['outputs', 'uri', 'value']),
      expected: 'postgresql://app@<name>-service.<namespace>.svc:5432/app',
    },
  ];
}

/** Without `from`, everybody. */
const isOpen = (policy: unknown): boolean => valueAt(policy, ['spec', 'ingress', '0', 'from']) === undefined;
