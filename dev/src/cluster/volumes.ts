import { mkdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import type { KubeApi } from './kube-api.ts';
import { followCollection } from './list-watch.ts';

export const provisionerName = 'felucca.dev/local';
const className = 'standard';
const maxAttempts = 5;

export interface VolumeOptions {
  /** Where volumes live; undefined where no container ever looks (simulated nodes). */
  readonly directory: string | undefined;
  readonly onProgress: (line: string) => void;
}

interface Claim {
  readonly metadata: { name: string; namespace: string; uid: string; annotations?: Record<string, string> };
  readonly spec: {
    storageClassName?: string;
    volumeName?: string;
    volumeMode?: string;
    accessModes?: string[];
    resources?: { requests?: { storage?: string } };
  };
  readonly status?: { phase?: string };
}

interface Volume {
  readonly metadata: { name: string; annotations?: Record<string, string> };
  readonly spec: { persistentVolumeReclaimPolicy?: string; local?: { path: string } };
  readonly status?: { phase?: string };
}

/**
 * The default StorageClass and its provisioner: a folder of this machine per claim, as a `local` volume tied to
 * the node the scheduler chose. `local` rather than hostPath, so that the kubelet honours fsGroup.
 */
export async function startVolumes(api: KubeApi, options: VolumeOptions): Promise<{ stop(): Promise<void> }> {
  await api.create('/apis/storage.k8s.io/v1/storageclasses', {
    apiVersion: 'storage.k8s.io/v1',
    kind: 'StorageClass',
    metadata: { name: className, annotations: { 'storageclass.kubernetes.io/is-default-class': 'true' } },
    provisioner: provisionerName,
    reclaimPolicy: 'Delete',
    volumeBindingMode: 'WaitForFirstConsumer',
  });
  const abort = new AbortController();
  const attempts = new Map<string, number>();
  const bounded = (key: string, work: () => Promise<void>) => {
    const attempt = (attempts.get(key) ?? 0) + 1;
    if (attempt > maxAttempts) return;
    attempts.set(key, attempt);
    work().then(
      () => void attempts.delete(key),
      (error: unknown) => {
        if (abort.signal.aborted) return;
        options.onProgress(`volume ${key}, attempt ${attempt} of ${maxAttempts}: ${String(error)}`);
        setTimeout(() => bounded(key, work), 500 * attempt).unref();
      },
    );
  };
  const loops = [
    followCollection(
      api,
      '/api/v1/persistentvolumeclaims',
      (object) => {
        const claim = object as Claim;
        if (claimWantsVolume(claim))
          bounded(`for ${claim.metadata.uid}`, () => provision(api, options, claim));
      },
      abort.signal,
    ),
    followCollection(
      api,
      '/api/v1/persistentvolumes',
      (object) => {
        const volume = object as Volume;
        if (volumeIsReleased(volume)) bounded(volume.metadata.name, () => reclaim(api, options, volume));
      },
      abort.signal,
    ),
  ];
  return {
    async stop() {
      abort.abort();
      await Promise.all(loops);
    },
  };
}

function claimWantsVolume(claim: Claim): boolean {
  const annotations = claim.metadata.annotations ?? {};
  return (
    claim.spec.volumeName === undefined &&
    claim.status?.phase !== 'Bound' &&
    annotations['volume.kubernetes.io/storage-provisioner'] === provisionerName &&
    annotations['volume.kubernetes.io/selected-node'] !== undefined
  );
}

function volumeIsReleased(volume: Volume): boolean {
  return (
    volume.status?.phase === 'Released' &&
    volume.spec.persistentVolumeReclaimPolicy === 'Delete' &&
    volume.metadata.annotations?.['pv.kubernetes.io/provisioned-by'] === provisionerName
  );
}

async function provision(api: KubeApi, options: VolumeOptions, claim: Claim): Promise<void> {
  const name = `pvc-${claim.metadata.uid}`;
  const path = join(options.directory ?? '/var/lib/simulated', name);
  // World-writable like an emptyDir: the container's user is unknown, and only this cluster's nodes see it.
  if (options.directory !== undefined) mkdirSync(path, { recursive: true, mode: 0o777 });
  await api.create('/api/v1/persistentvolumes', {
    apiVersion: 'v1',
    kind: 'PersistentVolume',
    metadata: { name, annotations: { 'pv.kubernetes.io/provisioned-by': provisionerName } },
    spec: {
      capacity: { storage: claim.spec.resources?.requests?.storage ?? '1Gi' },
      accessModes: claim.spec.accessModes ?? ['ReadWriteOnce'],
      volumeMode: 'Filesystem',
      persistentVolumeReclaimPolicy: 'Delete',
      storageClassName: claim.spec.storageClassName ?? className,
      claimRef: {
        apiVersion: 'v1',
        kind: 'PersistentVolumeClaim',
        namespace: claim.metadata.namespace,
        name: claim.metadata.name,
        uid: claim.metadata.uid,
      },
      local: { path },
      nodeAffinity: {
        required: {
          nodeSelectorTerms: [
            {
              matchExpressions: [
                {
                  key: 'kubernetes.io/hostname',
                  operator: 'In',
                  values: [claim.metadata.annotations?.['volume.kubernetes.io/selected-node']],
                },
              ],
            },
          ],
        },
      },
    },
  });
}

async function reclaim(api: KubeApi, options: VolumeOptions, volume: Volume): Promise<void> {
  const path = volume.spec.local?.path;
  if (options.directory !== undefined && path?.startsWith(`${options.directory}/`)) {
    rmSync(path, { recursive: true, force: true });
  }
  await api.remove(`/api/v1/persistentvolumes/${volume.metadata.name}`);
}
