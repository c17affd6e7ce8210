import type { BlueprintSpec } from '../resources/blueprint.ts';

/** A small valid Blueprint for tests; `change` edits a fresh copy. */
export function blueprintFixture(change: (spec: BlueprintSpec) => void = () => undefined): BlueprintSpec {
  const spec: BlueprintSpec = {
    name: 'web',
    version: '1.0.0',
    parameters: {
      type: 'object',
      required: ['message'],
      properties: {
        message: { type: 'string', maxLength: 64 },
        replicas: { type: 'integer', minimum: 0, maximum: 9, default: 1 },
        ratio: { type: 'number', default: 1 },
        storageGi: { type: 'integer', default: 1, immutable: true },
        password: { type: 'string', sensitive: true },
        shards: {
          type: 'array',
          items: {
            type: 'object',
            required: ['name'],
            properties: {
              name: { type: 'string', maxLength: 40 },
              replicas: { type: 'integer', default: 1 },
            },
          },
        },
        settings: { type: 'object', additionalProperties: { type: 'string' }, default: {} },
      },
    },
    nodes: [
      {
        id: 'config',
        manifest: { apiVersion: 'v1', kind: 'ConfigMap', data: { m: 'm: ${params.message}' } },
      },
      {
        id: 'credentials',
        generate: [{ key: 'password', length: 24 }],
        manifest: { apiVersion: 'v1', kind: 'Secret' },
      },
      {
        id: 'web',
        manifest: {
          apiVersion: 'apps/v1',
          kind: 'Deployment',
          spec: {
            replicas: '${params.replicas}',
            template: {
              spec: {
                securityContext: { runAsNonRoot: true, seccompProfile: { type: 'RuntimeDefault' } },
                containers: [
                  {
                    name: 'web',
                    image: 'web:1',
                    env: [{ name: 'IP', value: '${service.spec.clusterIP}' }],
                    securityContext: {
                      allowPrivilegeEscalation: false,
                      capabilities: { drop: ['ALL'] },
                    },
                  },
                ],
              },
            },
          },
        },
        ready: ['${self.status.readyReplicas >= params.replicas}'],
      },
      { id: 'service', manifest: { apiVersion: 'v1', kind: 'Service', spec: { ports: [{ port: 80 }] } } },
    ],
    outputs: {
      ip: { value: '${service.spec.clusterIP}' },
      password: { value: "${secretRef('credentials', 'password')}", sensitive: true },
    },
  };
  change(spec);
  return spec;
}
