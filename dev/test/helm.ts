import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { parseAllDocuments } from 'yaml';
import { resolveBinary } from '../src/index.ts';

export type ChartName = 'felucca-operator' | 'felucca-control-plane';
export interface Manifest {
  apiVersion: string;
  kind: string;
  metadata: { name: string; namespace?: string; annotations?: Record<string, string> };
  rules?: Rule[];
  [field: string]: unknown;
}
export interface Rule {
  apiGroups: string[];
  resources: string[];
  verbs: string[];
  resourceNames?: string[];
}

const run = promisify(execFile);
export const NAMESPACE = 'felucca-system';
export const chartPath = (chart: ChartName): string => join(import.meta.dirname, '../../helm', chart);

/** Values that a chart can't do without. */
export const REQUIRED: Record<ChartName, string[]> = {
  'felucca-operator': [],
  'felucca-control-plane': ['database.secretName=postgres', 'keys.secretName=felucca-keys'],
};

/** Value sets worth rendering: the defaults, everything on, and what somebody with little rights installs. */
export const VALUE_SETS: Record<ChartName, Record<string, string[]>> = {
  'felucca-operator': {
    defaults: [],
    'everything on': [
      'replicas=2',
      'shards=2',
      'controlPlane.url=https://felucca.example',
      'controlPlane.caBundle=-----BEGIN CERTIFICATE-----',
      'controlPlane.clientCertificateSecret=felucca-client',
      'joinToken=fj_a_b',
      `image.digest=sha256:${'0'.repeat(64)}`,
      'imagePullSecrets[0].name=registry',
      'networkPolicy.enabled=true',
      'networkPolicy.egress[0].ports[0].port=443',
      'metrics.serviceMonitor.enabled=true',
      'metrics.prometheusRule.enabled=true',
      'extraEnv[0].name=EXTRA',
      'extraEnv[0].value=hello',
      'nodeSelector.disk=ssd',
      'tolerations[0].operator=Exists',
      'commonLabels.team=platform',
      'podLabels.tier=control',
      'podAnnotations.note=hello',
      'serviceAccount.annotations.note=hello',
      'priorityClassName=system-cluster-critical',
      'crds.keep=false',
    ],
    'token from a Secret': ['joinTokenSecretRef.name=mine', 'joinTokenSecretRef.key=token'],
    'rights only': ['deployment.enabled=false', 'joinToken=fj_a_b'],
    'definitions elsewhere': [
      'crds.enabled=false',
      'admissionPolicies.enabled=false',
      'rbac.aggregate=false',
      'serviceAccount.create=false',
    ],
  },
  'felucca-control-plane': {
    defaults: [],
    'everything on': [
      'replicas=2',
      'database.appUrlKey=app',
      'database.feedUrlKey=feed',
      'database.migrate=false',
      'bootstrapKey.secretName=bootstrap',
      'ingress.enabled=true',
      'ingress.host=felucca.example',
      'ingress.className=nginx',
      'ingress.tlsSecretName=tls',
      'ingress.annotations.note=hello',
      'networkPolicy.enabled=true',
      'networkPolicy.egress[0].ports[0].port=5432',
      'metrics.serviceMonitor.enabled=true',
      'service.annotations.note=hello',
      'commonLabels.team=platform',
      'podLabels.tier=control',
      'podAnnotations.note=hello',
    ],
    'keys on a volume': ['keys.secretName=', 'keys.persistentVolumeClaim=keys'],
  },
};

/** Rejects with Helm's own words. */
export async function helm(args: readonly string[], kubeconfig = '/dev/null'): Promise<string> {
  const binary = await resolveBinary('helm');
  const env = { ...process.env, KUBECONFIG: kubeconfig };
  const { stdout } = await run(binary, args, { env, timeout: 60_000, maxBuffer: 16 * 1024 * 1024 });
  return stdout;
}

export const setFlags = (values: readonly string[]): string[] => values.flatMap((value) => ['--set', value]);

export async function render(chart: ChartName, values: readonly string[]): Promise<Manifest[]> {
  const flags = setFlags([...REQUIRED[chart], ...values]);
  const text = await helm(['template', 'felucca', chartPath(chart), '--namespace', NAMESPACE, ...flags]);
  return parseAllDocuments(text)
    .map((document) => {
      if (document.errors.length > 0) throw document.errors[0];
      return document.toJS() as Manifest | null;
    })
    .filter((manifest) => manifest !== null);
}
