import {
  ANNOTATIONS,
  API_VERSION,
  blueprintObjectName,
  DATA_PLANE_NAME,
  type InstanceObject,
  type TenantObject,
  tellProblems,
} from '@felucca/contract';
import { conditionOf, isHandled, isTrue } from '../facts/conditions.ts';
import type { InstanceFacts } from '../facts/instance.ts';
import { deletionText, isOwned } from '../facts/ownership.ts';
import { MAX_PROBLEMS_LENGTH } from '../facts/product.ts';
import { isSeen } from '../kube/errors.ts';
import { age } from '../show/age.ts';
import { type Finding, failed, failedApart, findingOf, type Hop, ok, unknown, untold } from './finding.ts';
import { firstShardFailure, refusedRow } from './platform.ts';

/** The reason for which the newest verdict calls the Instance not ready, if it speaks about its newest spec. */
export const verdictOf = ({ instance }: InstanceFacts): string | undefined => {
  const ready = conditionOf(instance, 'Ready');
  return ready && ready.status !== 'True' && isHandled(instance) ? ready.reason : undefined;
};

export function tenantHop(facts: InstanceFacts): Hop {
  const { tenant, organization, instance } = facts;
  const { namespace } = instance.metadata;
  if (organization === undefined)
    return failed({
      object: `Instance/${instance.metadata.name}`,
      reason: 'TenantNotReady',
      what: `namespace ${namespace} is not that of a Tenant`,
      remedy:
        'delete it here, and apply it in the namespace of its Tenant, tenant-<name>: kubectl get tenants lists them',
      audience: 'tenant',
      look: ['kubectl get tenants'],
      events: [],
    });
  const ready = conditionOf(instance, 'Ready');
  if (!isSeen(tenant)) {
    if (verdictOf(facts) === 'TenantNotReady' && ready)
      return failed(findingOf(instance, ready, { audience: 'operator' }));
    return unknown('you may not read Tenants');
  }
  if (!tenant.value)
    return failed({
      object: `Tenant/${organization}`,
      reason: 'TenantNotReady',
      what: `there is no Tenant "${organization}" for namespace ${namespace}`,
      remedy: isOwned(instance)
        ? 'the control plane sends it; look at the link'
        : `apply the Tenant "${organization}", or the Instance in the namespace of another`,
      audience: 'operator',
      look: ['kubectl get tenants'],
      events: [],
    });
  const condition = conditionOf(tenant.value, 'Ready');
  if (condition?.status === 'True') return ok(`Tenant/${organization} is ready`);
  if (tenant.value.metadata.deletionTimestamp) return failed(tenantGoes(tenant.value, instance));
  const unled = firstShardFailure(facts);
  if (unled) return unled;
  const look = [`kubectl get tenant ${organization} -o yaml`];
  if (condition) return failed(findingOf(tenant.value, condition, { audience: 'operator', look }));
  return failed({
    object: `Tenant/${organization}`,
    what: 'no operator has handled it yet',
    remedy: 'wait a moment; if it stays, look at the log of the operator',
    audience: 'operator',
    look,
    events: [],
  });
}

/** It waits for its Instances, and nobody but a person ends that. */
const tenantGoes = (tenant: TenantObject, instance: InstanceObject): Finding =>
  findingOf(
    tenant,
    {
      reason: 'Deleting',
      message: 'it is being deleted, and waits until its Instances are; this one runs on',
    },
    {
      remedy: `if that is meant, have this one deleted, too: ${deletionText(instance)}; a Tenant's deletion cannot be taken back`,
      audience: 'operator',
      look: [`felucca why tenant/${tenant.metadata.name}`],
    },
  );

export function blueprintHop(facts: InstanceFacts): Hop {
  const { blueprint, instance } = facts;
  const { name = '', version = '' } = instance.spec?.blueprintRef ?? {};
  const object = blueprintObjectName(name, version);
  const ready = conditionOf(instance, 'Ready');
  const verdict = verdictOf(facts);
  const isVerdict = verdict === 'BlueprintNotFound' || verdict === 'BlueprintInvalid';
  if (!isSeen(blueprint)) {
    // The remedy names the Blueprint, also where it is hidden.
    const hidden = { apiVersion: API_VERSION, kind: 'Blueprint', metadata: { name: object } };
    if (isVerdict && ready) return failed(findingOf(hidden, ready, { audience: 'operator' }));
    return unknown('you may not read Blueprints');
  }
  const look = ['kubectl get blueprints'];
  if (!blueprint.value)
    return failed(
      findingOf(
        instance,
        {
          reason: 'BlueprintNotFound',
          message: `Blueprint ${object} (${name} ${version}) is not on this cluster`,
        },
        {
          object: `Blueprint/${object}`,
          audience: isOwned(instance) ? 'operator' : 'tenant',
          ...(isOwned(instance) ? { remedy: 'the control plane sends it; look at the link' } : {}),
          look,
        },
      ),
    );
  // The sync marks what it writes, with the annotation first.
  const { metadata, status } = blueprint.value;
  if (isOwned(instance) && !status?.desired && !metadata.annotations?.[ANNOTATIONS.id])
    return failedApart(
      findingOf(
        blueprint.value,
        {
          reason: 'NameConflict',
          message: `it was applied on this cluster, and the Instance runs from it and not from ${name} ${version} of the control plane`,
        },
        { audience: 'operator', look: [`kubectl get dataplane ${DATA_PLANE_NAME} -o yaml`] },
      ),
    );
  const condition = conditionOf(blueprint.value, 'Ready');
  const unled = condition?.status === 'True' ? undefined : firstShardFailure(facts);
  if (unled) return unled;
  if (condition?.status === 'False')
    return failed(findingOf(blueprint.value, condition, { audience: 'operator' }));
  return ok(`${name} ${version} is ${condition ? 'valid' : 'there, and not checked yet'}`);
}

/** Spec and parameters: what whoever ordered it wrote. */
export function specHop(facts: InstanceFacts): Hop {
  const { instance, parameterProblems, now } = facts;
  const { name, generation = 0, namespace } = instance.metadata;
  const ready = conditionOf(instance, 'Ready');
  if (verdictOf(facts) === 'ParametersInvalid' && ready)
    return failed(findingOf(instance, ready, { audience: 'tenant' }));
  if (parameterProblems.length > 0)
    return failed(
      findingOf(
        instance,
        {
          reason: 'ParametersInvalid',
          message: tellProblems(parameterProblems, MAX_PROBLEMS_LENGTH),
        },
        { audience: 'tenant' },
      ),
    );
  if (!isHandled(instance))
    return failed({
      object: `Instance/${name}`,
      what: ready
        ? `generation ${generation} is not handled yet; the status speaks about generation ${instance.status?.observedGeneration}`
        : 'no operator has handled it yet',
      why: `it was created ${age(instance.metadata.creationTimestamp, now)} ago`,
      remedy: 'wait a moment; if it stays, look at the log of the operator',
      audience: 'operator',
      look: [`kubectl get instance ${name} -n ${namespace} -o yaml`],
      events: [],
    });
  return ok(`the parameters are valid, and generation ${generation} is handled`);
}

/** Between the control plane's row and this object. */
export function syncHop(facts: InstanceFacts): Hop {
  const { instance } = facts;
  if (!isOwned(instance)) return ok('applied on this cluster, and not by a control plane');
  const synced = conditionOf(instance, 'Synced');
  if (!synced) return untold('the operator has not compared it with the control plane yet');
  if (!isTrue(instance, 'Synced')) return failed(findingOf(instance, synced, { audience: 'operator' }));
  const refused = refusedRow(facts.platform, instance);
  if (refused) return failed(refused);
  const { generation = '?' } = instance.status?.desired ?? {};
  return ok(
    `generation ${generation} of the control plane${synced.reason === 'SpecEdited' ? '; an edit here was undone' : ''}`,
  );
}
