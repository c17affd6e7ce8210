import { isRecord } from '../blueprint/problem.ts';
import { counted } from '../plain-words.ts';
import type { LiveObject } from './live-object.ts';

export type Readiness =
  | { state: 'ready' }
  | { state: 'progressing'; message: string }
  /** It will not become ready without a change. */
  | { state: 'failed'; message: string };

const READY: Readiness = { state: 'ready' };
const progressing = (message: string): Readiness => ({ state: 'progressing', message });

type Json = Record<string, unknown>;
const number = (value: unknown, fallback = 0): number => (typeof value === 'number' ? value : fallback);
const conditionOf = (object: LiveObject, type: string): Json | undefined => {
  const list = object.status?.conditions;
  return Array.isArray(list) ? list.find((item) => isRecord(item) && item.type === type) : undefined;
};
const isCurrent = (object: LiveObject): boolean =>
  number(object.status?.observedGeneration, -1) >= number(object.metadata.generation);

const oldReplicas = (count: number): string =>
  `${counted(count, 'old replica is', 'old replicas are')} still there`;

/** When a child of a known kind counts as ready; a kind without a rule is ready once it exists. */
const RULES: Record<string, (object: LiveObject) => Readiness> = {
  Deployment(object) {
    const wanted = number(object.spec?.replicas, 1);
    const status = object.status ?? {};
    if (!isCurrent(object)) return progressing('its controller has not seen the newest spec yet');
    const stuck = conditionOf(object, 'Progressing');
    if (stuck?.reason === 'ProgressDeadlineExceeded')
      return { state: 'failed', message: `the rollout made no progress: ${String(stuck.message)}` };
    // Quota or admission: the Deployment itself was accepted, only its pods are not.
    const refused = conditionOf(object, 'ReplicaFailure');
    if (refused?.status === 'True')
      return { state: 'failed', message: `its pods are refused: ${String(refused.message)}` };
    if (number(status.updatedReplicas) < wanted)
      return progressing(`${number(status.updatedReplicas)} of ${wanted} replicas are updated`);
    if (number(status.replicas) > wanted) return progressing(oldReplicas(number(status.replicas) - wanted));
    return number(status.availableReplicas) < wanted
      ? progressing(`${number(status.availableReplicas)} of ${wanted} replicas are ready`)
      : READY;
  },
  StatefulSet(object) {
    const wanted = number(object.spec?.replicas, 1);
    const status = object.status ?? {};
    if (!isCurrent(object)) return progressing('its controller has not seen the newest spec yet');
    if (number(status.replicas) > wanted) return progressing(oldReplicas(number(status.replicas) - wanted));
    if (number(status.readyReplicas) < wanted)
      return progressing(`${number(status.readyReplicas)} of ${wanted} replicas are ready`);
    const rolling = wanted > 0 && status.updateRevision !== status.currentRevision;
    return rolling && number(status.updatedReplicas) < wanted
      ? progressing(`${number(status.updatedReplicas)} of ${wanted} replicas are updated`)
      : READY;
  },
  Job(object) {
    if (conditionOf(object, 'Complete')?.status === 'True' || object.spec?.suspend === true) return READY;
    const failed = conditionOf(object, 'Failed');
    return failed?.status === 'True'
      ? { state: 'failed', message: `the job failed: ${String(failed.message ?? failed.reason)}` }
      : progressing('the job has not finished');
  },
  PersistentVolumeClaim(object) {
    const phase = object.status?.phase;
    if (phase === 'Bound') return READY;
    return phase === 'Lost'
      ? { state: 'failed', message: 'its volume is lost' }
      : progressing('no volume is bound yet; with delayed binding it waits for its first pod');
  },
  Service(object) {
    if (object.spec?.type !== 'LoadBalancer') return READY;
    const ingress = isRecord(object.status?.loadBalancer) ? object.status.loadBalancer.ingress : undefined;
    return Array.isArray(ingress) && ingress.length > 0
      ? READY
      : progressing('the load balancer has no address yet');
  },
  HorizontalPodAutoscaler(object) {
    const able = conditionOf(object, 'AbleToScale');
    return able?.status === 'False' ? progressing(`it cannot scale: ${String(able.message)}`) : READY;
  },
  PodDisruptionBudget(object) {
    return isCurrent(object) ? READY : progressing('its controller has not seen it yet');
  },
};

export function readinessOf(object: LiveObject): Readiness {
  if (object.metadata.deletionTimestamp) return progressing('it is being deleted');
  return RULES[object.kind]?.(object) ?? READY;
}
