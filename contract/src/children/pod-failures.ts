import { isRecord } from '../blueprint/problem.ts';
import { LABELS } from '../identity.ts';
import type { LiveObject } from './live-object.ts';

/** Something that keeps a pod from running, told to the one who can do something about it. */
export interface PodFailure {
  node: string;
  /** Absent where a controller makes no pod. */
  pod?: string;
  audience: 'tenant' | 'operator';
  /** Will it stay so without a change? A failing probe may still be a slow start. */
  certain: boolean;
  message: string;
  /** What to do about it; absent where only the message can tell. */
  remedy?: string;
}

/** Both in one sentence, for a condition. */
export const tellFailure = ({ message, remedy }: PodFailure): string =>
  remedy === undefined ? message : `${message}; ${remedy}`;

type Json = Record<string, unknown>;
const list = (value: unknown): Json[] => (Array.isArray(value) ? value.filter(isRecord) : []);
const text = (value: unknown, fallback = ''): string =>
  typeof value === 'string' ? value.slice(0, 300) : fallback;

/** A slow start looks the same as a failing probe at first. */
const GRACE_MS = 10_000;
/** A container that crashed more than once has recovered when it runs for so long. */
const STABLE_MS = 30_000;

/** Failures among an Instance's pods, the most certain first; the same ones every time for the same pods. */
export function podFailures(pods: readonly LiveObject[], now: Date): PodFailure[] {
  return pods
    .filter((pod) => !pod.metadata.deletionTimestamp)
    .toSorted((a, b) => (a.metadata.name < b.metadata.name ? -1 : 1))
    .flatMap((pod) => failureOf(pod, now) ?? [])
    .toSorted((a, b) => Number(b.certain) - Number(a.certain));
}

function failureOf(pod: LiveObject, now: Date): PodFailure | undefined {
  const node = pod.metadata.labels?.[LABELS.node] ?? '';
  const name = pod.metadata.name;
  const status = pod.status ?? {};
  const containers = [...list(status.initContainerStatuses), ...list(status.containerStatuses)];
  for (const container of containers) {
    const found = waitingFailure(name, container, now);
    if (found) return { node, pod: name, ...found };
  }
  const scheduled = list(status.conditions).find((item) => item.type === 'PodScheduled');
  if (
    scheduled?.status === 'False' &&
    scheduled.reason === 'Unschedulable' &&
    isOld(scheduled.lastTransitionTime, now)
  )
    return {
      node,
      pod: name,
      audience: 'operator',
      certain: true,
      message: `pod ${name} finds no node: ${text(scheduled.message)}`,
      remedy: 'add capacity or lower the requested size',
    };
  const unready = containers.find(
    (item) =>
      isRecord(item.state) &&
      isRecord(item.state.running) &&
      item.ready === false &&
      isOld(item.state.running.startedAt, now),
  );
  if (unready && status.phase === 'Running')
    return {
      node,
      pod: name,
      audience: 'tenant',
      certain: false,
      message: `container "${text(unready.name)}" of pod ${name} runs but its readiness probe does not succeed`,
      remedy: 'see its log',
    };
  return undefined;
}

const IMAGE_REASONS = ['ImagePullBackOff', 'ErrImagePull', 'ErrImageNeverPull', 'InvalidImageName'];
const CONFIG_REASONS = ['CreateContainerConfigError', 'CreateContainerError', 'RunContainerError'];

function waitingFailure(
  pod: string,
  container: Json,
  now: Date,
): Omit<PodFailure, 'node' | 'pod'> | undefined {
  const state = isRecord(container.state) ? container.state : {};
  const waiting = isRecord(state.waiting) ? state.waiting : undefined;
  const reason = text(waiting?.reason);
  const name = `container "${text(container.name)}" of pod ${pod}`;
  if (IMAGE_REASONS.includes(reason))
    return {
      audience: 'operator',
      certain: true,
      message: `${name} cannot get its image "${text(container.image)}" (${reason})`,
      remedy: "correct the image or the registry's credentials",
    };
  if (CONFIG_REASONS.includes(reason))
    return {
      audience: 'operator',
      certain: true,
      message: `${name} cannot be started (${reason}): ${text(waiting?.message)}`,
      remedy: 'correct the Blueprint',
    };
  const restarts = typeof container.restartCount === 'number' ? container.restartCount : 0;
  const last = terminated(container.lastState) ?? terminated(state);
  if (
    reason === 'CrashLoopBackOff' ||
    (restarts > 1 && last && last.exitCode !== 0 && !isStable(state, now))
  ) {
    const killed = text(last?.reason) === 'OOMKilled';
    return {
      audience: 'tenant',
      certain: true,
      message: killed
        ? `${name} needs more memory than its limit (CrashLoopBackOff, OOMKilled)`
        : // The restart count would make every restart a status write.
          `${name} starts and exits again (CrashLoopBackOff, exit code ${String(last?.exitCode ?? 'unknown')})`,
      remedy: killed ? 'choose a larger size' : 'see its log and correct the parameters',
    };
  }
  return undefined;
}

/** Between two crashes a container runs, too; a status that followed each restart would say nothing. */
const isStable = (state: Json, now: Date): boolean =>
  isRecord(state.running) && isOld(state.running.startedAt, now, STABLE_MS);

const terminated = (state: unknown): Json | undefined =>
  isRecord(state) && isRecord(state.terminated) ? state.terminated : undefined;

const isOld = (since: unknown, now: Date, ms = GRACE_MS): boolean =>
  typeof since === 'string' && now.getTime() - Date.parse(since) >= ms;
