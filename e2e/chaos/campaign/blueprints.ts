import type { Json, KubeObject } from '../rig.ts';

const API = 'felucca.dev/v1alpha1';

const restricted = {
  podSecurity: { runAsNonRoot: true, runAsUser: 65532, seccompProfile: { type: 'RuntimeDefault' } },
  container: { allowPrivilegeEscalation: false, capabilities: { drop: ['ALL'] } },
};

const pod = (container: Json, more: Json = {}): Json => ({
  spec: {
    securityContext: restricted.podSecurity,
    containers: [
      {
        name: 'main',
        image: 'registry.example/app:1',
        resources: { requests: { cpu: '1m', memory: '1Mi' }, limits: { memory: '64Mi' } },
        securityContext: restricted.container,
        ...container,
      },
    ],
    ...more,
  },
});

const blueprint = (name: string, version: string, spec: Json): KubeObject => ({
  apiVersion: API,
  kind: 'Blueprint',
  metadata: { name: `${name}-${version.replaceAll('.', '-')}` },
  spec: { name, version, title: name, description: `Of the chaos campaign: ${name}.`, ...spec },
});

const serviceOf = (node: string): Json => ({
  apiVersion: 'v1',
  kind: 'Service',
  spec: {
    selector: { 'felucca.dev/instance': '${instance.name}', 'felucca.dev/node': node },
    ports: [{ name: 'http', port: 80, targetPort: 8080 }],
  },
});

const webParameters: Json = {
  type: 'object',
  properties: {
    message: { type: 'string', default: 'hello', maxLength: 64 },
    replicas: { type: 'integer', minimum: 0, maximum: 5, default: 1 },
    public: { type: 'boolean', default: false },
  },
};

const webDeployment: Json = {
  apiVersion: 'apps/v1',
  kind: 'Deployment',
  spec: {
    replicas: '${params.replicas}',
    template: pod({
      env: [{ name: 'MESSAGE', value: '${params.message}' }],
      ports: [{ name: 'http', containerPort: 8080 }],
    }),
  },
};

/** A workload and its address; the policy comes and goes with a parameter. */
const web = blueprint('web', '1.0.0', {
  parameters: webParameters,
  nodes: [
    { id: 'web', manifest: webDeployment },
    { id: 'service', manifest: serviceOf('web') },
    {
      id: 'policy',
      when: ['${params.public}'],
      manifest: {
        apiVersion: 'networking.k8s.io/v1',
        kind: 'NetworkPolicy',
        spec: { podSelector: {}, policyTypes: ['Ingress'], ingress: [{}] },
      },
    },
  ],
  outputs: { url: { value: '${"http://" + service.metadata.name}' } },
});

/** The next version: a ConfigMap and a budget more, the Service gone. */
const webNext = blueprint('web', '2.0.0', {
  parameters: webParameters,
  nodes: [
    {
      id: 'web',
      manifest: {
        ...webDeployment,
        spec: {
          ...webDeployment.spec,
          template: pod({
            env: [{ name: 'MESSAGE', value: '${params.message + " of version 2"}' }],
            ports: [{ name: 'http', containerPort: 8080 }],
          }),
        },
      },
    },
    {
      id: 'settings',
      manifest: { apiVersion: 'v1', kind: 'ConfigMap', data: { message: '${params.message}' } },
    },
    {
      id: 'budget',
      manifest: {
        apiVersion: 'policy/v1',
        kind: 'PodDisruptionBudget',
        spec: { maxUnavailable: 1, selector: { matchLabels: { 'felucca.dev/node': 'web' } } },
      },
    },
  ],
});

/** As a database: a password made once, settings, a volume. */
const store = blueprint('store', '1.0.0', {
  parameters: {
    type: 'object',
    properties: { connections: { type: 'integer', minimum: 1, maximum: 500, default: 10 } },
  },
  nodes: [
    {
      id: 'password',
      generate: [{ key: 'password', length: 24 }],
      manifest: { apiVersion: 'v1', kind: 'Secret', type: 'Opaque', stringData: { user: 'app' } },
    },
    {
      id: 'config',
      manifest: {
        apiVersion: 'v1',
        kind: 'ConfigMap',
        data: { connections: '${string(params.connections)}' },
      },
    },
    {
      id: 'db',
      manifest: {
        apiVersion: 'apps/v1',
        kind: 'StatefulSet',
        spec: {
          replicas: 1,
          serviceName: '${instance.name}-service',
          template: pod(
            {
              env: [{ name: 'CONNECTIONS', value: '${string(params.connections)}' }],
              envFrom: [{ secretRef: { name: '${instance.name}-password' } }],
              volumeMounts: [{ name: 'data', mountPath: '/data' }],
            },
            { terminationGracePeriodSeconds: 0 },
          ),
          volumeClaimTemplates: [
            {
              apiVersion: 'v1',
              kind: 'PersistentVolumeClaim',
              metadata: { name: 'data' },
              spec: { accessModes: ['ReadWriteOnce'], resources: { requests: { storage: '1Gi' } } },
            },
          ],
        },
      },
    },
    { id: 'service', manifest: serviceOf('db') },
  ],
  outputs: {
    service: { value: '${service.metadata.name}' },
    password: { value: "${secretRef('password', 'password')}", sensitive: true },
  },
});

/** Each node waits for a field of the one before it. */
const chain = blueprint('chain', '1.0.0', {
  parameters: { type: 'object', properties: { word: { type: 'string', default: 'a', maxLength: 16 } } },
  nodes: [
    { id: 'front', manifest: serviceOf('back') },
    {
      id: 'address',
      manifest: {
        apiVersion: 'v1',
        kind: 'ConfigMap',
        data: { ip: '${front.spec.clusterIP}', word: '${params.word}' },
      },
    },
    {
      id: 'copy',
      manifest: {
        apiVersion: 'v1',
        kind: 'ConfigMap',
        data: { ip: '${address.data.ip}', word: '${address.data.word}' },
      },
    },
  ],
});

/** Work that ends, and work that comes again. */
const batch = blueprint('batch', '1.0.0', {
  parameters: {
    type: 'object',
    properties: { hour: { type: 'integer', minimum: 0, maximum: 23, default: 3 } },
  },
  nodes: [
    {
      id: 'once',
      manifest: {
        apiVersion: 'batch/v1',
        kind: 'Job',
        spec: { backoffLimit: 1, template: pod({}, { restartPolicy: 'Never' }) },
      },
    },
    {
      id: 'nightly',
      manifest: {
        apiVersion: 'batch/v1',
        kind: 'CronJob',
        spec: {
          // A day that no campaign meets: a Job of the schedule's own would be no difference that an operator made.
          schedule: '${"0 " + string(params.hour) + " 29 2 *"}',
          jobTemplate: { spec: { template: pod({}, { restartPolicy: 'Never' }) } },
        },
      },
    },
  ],
});

export const BLUEPRINTS: readonly KubeObject[] = [web, webNext, store, chain, batch];

/** The same product under another name, for who publishes it himself. */
export const webAs = (name: string): KubeObject => blueprint(name, '1.0.0', { ...web.spec, name });
