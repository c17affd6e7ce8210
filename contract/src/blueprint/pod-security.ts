import { isRecord, pointer } from './problem.ts';

type Add = (path: string, message: string, remedy: string) => void;

/** Fields of a pod spec that the operator decides or that would leave the tenant's sandbox. */
const FORBIDDEN_POD_FIELDS: Record<string, string> = {
  serviceAccountName: 'the operator sets it',
  serviceAccount: 'the operator sets it',
  automountServiceAccountToken: 'the operator sets it to false',
  hostNetwork: 'a tenant workload may not use the host’s network',
  hostPID: 'a tenant workload may not see the host’s processes',
  hostIPC: 'a tenant workload may not share the host’s memory',
  hostUsers: 'the operator’s cluster decides it',
  hostAliases: 'it can redirect traffic',
  nodeName: 'the scheduler decides it',
  priorityClassName: 'the platform decides it',
  priority: 'the platform decides it',
  runtimeClassName: 'the platform decides it',
  schedulerName: 'the platform decides it',
  ephemeralContainers: 'they are for debugging by people',
  resourceClaims: 'devices are not offered to tenants',
};
const VOLUME_TYPES = [
  'configMap',
  'downwardAPI',
  'emptyDir',
  'ephemeral',
  'persistentVolumeClaim',
  'projected',
  'secret',
];
const PROJECTED_SOURCES = ['configMap', 'downwardAPI', 'secret'];
const SECURITY_FIELDS = {
  pod: [
    'runAsNonRoot',
    'runAsUser',
    'runAsGroup',
    'fsGroup',
    'fsGroupChangePolicy',
    'supplementalGroups',
    'seccompProfile',
  ],
  container: [
    'runAsNonRoot',
    'runAsUser',
    'runAsGroup',
    'seccompProfile',
    'allowPrivilegeEscalation',
    'capabilities',
    'readOnlyRootFilesystem',
    'privileged',
  ],
};

/**
 * The `restricted` pod security standard, checked when a Blueprint is published, so that its author
 * reads about it and not the first tenant. The namespace enforces the same standard again.
 * Security fields must be literals: what an expression will say is not known here.
 */
export function checkPodSpec(spec: unknown, path: string, add: Add): void {
  if (!isRecord(spec)) {
    add(path, 'the pod spec must be written out, not computed', 'write the pod spec as an object');
    return;
  }
  for (const [field, why] of Object.entries(FORBIDDEN_POD_FIELDS))
    if (spec[field] !== undefined) add(pointer(path, field), `may not be set: ${why}`, 'remove it');
  const podContext = spec.securityContext;
  if (podContext !== undefined) checkSecurityFields(podContext, pointer(path, 'securityContext'), 'pod', add);
  const podNonRoot = isRecord(podContext) && podContext.runAsNonRoot === true;
  const podSeccomp = isRecord(podContext) && isAllowedSeccomp(podContext.seccompProfile);
  if (!Array.isArray(spec.containers) || spec.containers.length === 0)
    add(pointer(path, 'containers'), 'must list at least one container', 'write the containers out');
  for (const list of ['containers', 'initContainers']) {
    const containers = spec[list];
    if (containers === undefined) continue;
    if (!Array.isArray(containers)) {
      add(pointer(path, list), 'must be a list that is written out', 'write the containers out');
      continue;
    }
    for (const [index, container] of containers.entries())
      checkContainer(container, pointer(path, list, index), podNonRoot, podSeccomp, add);
  }
  checkVolumes(spec.volumes, pointer(path, 'volumes'), add);
}

function checkContainer(
  container: unknown,
  path: string,
  podNonRoot: boolean,
  podSeccomp: boolean,
  add: Add,
): void {
  if (!isRecord(container)) {
    add(path, 'a container must be written out', 'write it as an object');
    return;
  }
  const contextPath = pointer(path, 'securityContext');
  const context = isRecord(container.securityContext) ? container.securityContext : {};
  if (container.securityContext !== undefined)
    checkSecurityFields(container.securityContext, contextPath, 'container', add);
  if (context.privileged !== undefined && context.privileged !== false)
    add(pointer(contextPath, 'privileged'), 'a tenant workload may not be privileged', 'remove it');
  if (context.allowPrivilegeEscalation !== false)
    add(
      pointer(contextPath, 'allowPrivilegeEscalation'),
      'must be false',
      'set allowPrivilegeEscalation: false',
    );
  const nonRoot = context.runAsNonRoot ?? (podNonRoot ? true : undefined);
  if (nonRoot !== true)
    add(pointer(contextPath, 'runAsNonRoot'), 'must be true here or on the pod', 'set runAsNonRoot: true');
  if (context.seccompProfile === undefined ? !podSeccomp : !isAllowedSeccomp(context.seccompProfile))
    add(
      pointer(contextPath, 'seccompProfile'),
      'must be RuntimeDefault or Localhost here or on the pod',
      'set seccompProfile: {type: RuntimeDefault}',
    );
  const capabilities = isRecord(context.capabilities) ? context.capabilities : {};
  if (!Array.isArray(capabilities.drop) || !capabilities.drop.includes('ALL'))
    add(pointer(contextPath, 'capabilities', 'drop'), 'must drop ALL', 'set capabilities: {drop: [ALL]}');
  if (
    capabilities.add !== undefined &&
    !(Array.isArray(capabilities.add) && capabilities.add.every((item) => item === 'NET_BIND_SERVICE'))
  )
    add(pointer(contextPath, 'capabilities', 'add'), 'may only add NET_BIND_SERVICE', 'remove the others');
  if (container.volumeDevices !== undefined)
    add(pointer(path, 'volumeDevices'), 'raw devices are not offered to tenants', 'mount a file system');
  if (container.ports !== undefined && !Array.isArray(container.ports))
    add(pointer(path, 'ports'), 'must be a list that is written out', 'write the ports out');
  for (const [index, port] of (Array.isArray(container.ports) ? container.ports : []).entries())
    if (!isRecord(port) || port.hostPort !== undefined || port.hostIP !== undefined)
      add(pointer(path, 'ports', index), 'may not use a port of the host', 'expose it with a Service');
  for (const probe of ['livenessProbe', 'readinessProbe', 'startupProbe', 'lifecycle'])
    checkProbeHost(container[probe], pointer(path, probe), add);
}

function checkSecurityFields(context: unknown, path: string, level: 'pod' | 'container', add: Add): void {
  if (!isRecord(context)) {
    add(path, 'must be written out, not computed', 'write it as an object');
    return;
  }
  for (const [field, value] of Object.entries(context)) {
    const at = pointer(path, field);
    if (!SECURITY_FIELDS[level].includes(field))
      add(at, 'is not allowed for a tenant workload', `use only ${SECURITY_FIELDS[level].join(', ')}`);
    else if (JSON.stringify(value)?.includes('${'))
      add(at, 'must be a literal, because it decides about security', 'write the value itself');
  }
  if (context.runAsUser === 0) add(pointer(path, 'runAsUser'), 'may not be root', 'choose another user');
  if (context.runAsNonRoot !== undefined && context.runAsNonRoot !== true)
    add(pointer(path, 'runAsNonRoot'), 'must be true', 'set runAsNonRoot: true');
}

const isAllowedSeccomp = (profile: unknown): boolean =>
  isRecord(profile) && (profile.type === 'RuntimeDefault' || profile.type === 'Localhost');

function checkVolumes(volumes: unknown, path: string, add: Add): void {
  if (volumes === undefined) return;
  if (!Array.isArray(volumes)) {
    add(path, 'must be a list that is written out', 'write the volumes out');
    return;
  }
  for (const [index, volume] of volumes.entries()) {
    const at = pointer(path, index);
    if (!isRecord(volume)) {
      add(at, 'a volume must be written out', 'write it as an object');
      continue;
    }
    for (const type of Object.keys(volume))
      if (type !== 'name' && !VOLUME_TYPES.includes(type))
        add(
          pointer(at, type),
          `volumes of type "${type}" are not allowed for a tenant workload`,
          `use one of ${VOLUME_TYPES.join(', ')}`,
        );
    if (volume.projected === undefined) continue;
    const sources = isRecord(volume.projected) ? volume.projected.sources : undefined;
    if (!Array.isArray(sources)) {
      add(pointer(at, 'projected', 'sources'), 'must be a list that is written out', 'write it out');
      continue;
    }
    for (const [i, source] of sources.entries())
      if (!isRecord(source) || Object.keys(source).some((key) => !PROJECTED_SOURCES.includes(key)))
        add(
          pointer(at, 'projected', 'sources', i),
          'may not project a service account token or a trust bundle',
          `use one of ${PROJECTED_SOURCES.join(', ')}`,
        );
  }
}

/** A probe or hook with a `host` would let a kubelet send requests anywhere. */
function checkProbeHost(value: unknown, path: string, add: Add): void {
  if (value === undefined) return;
  if (!isRecord(value)) {
    add(path, 'must be written out, not computed', 'write it as an object');
    return;
  }
  for (const [key, inner] of Object.entries(value)) {
    if (key === 'httpGet' || key === 'tcpSocket') {
      if (!isRecord(inner)) add(pointer(path, key), 'must be written out', 'write it as an object');
      else if (inner.host !== undefined)
        add(pointer(path, key, 'host'), 'may not name another host', 'remove it');
    } else if (key === 'preStop' || key === 'postStart') checkProbeHost(inner, pointer(path, key), add);
  }
}
