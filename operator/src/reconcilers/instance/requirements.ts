import {
  applyDefaults,
  blueprintObjectName,
  type CompiledBlueprint,
  checkParameters,
  childrenOfInstance,
  counted,
  type InstanceObject,
  ItemsProblem,
  immutableValues,
  isControlled,
  organizationOf,
  overturned,
  type PlannedChild,
  type Reason,
  tellProblems,
} from '@felucca/contract';
import { hasFinalizer } from '../finalizer.ts';
import { MAX_MESSAGE } from './conditions.ts';
import type { InstanceContext } from './context.ts';

/** A requirement that is not met. */
export class Unmet extends Error {
  readonly reason: Reason;
  /** It arrives or becomes ready without anybody's help. */
  readonly comesByItself: boolean;
  constructor(reason: Reason, message: string, comesByItself = false) {
    super(message);
    this.reason = reason;
    this.comesByItself = comesByItself;
  }
}

/**
 * What must be there before children are made: a Tenant that has been ready, a good Blueprint, parameters that fit it.
 * @throws {Unmet}
 */
export function requirements(
  context: InstanceContext,
  instance: InstanceObject,
): { blueprint: CompiledBlueprint; parameters: Record<string, unknown>; children: PlannedChild[] } {
  requireTenant(context, instance);
  const blueprint = requireBlueprint(context, instance);
  const parameters = requireParameters(blueprint, instance);
  return { blueprint, parameters, children: requireItems(blueprint, instance, parameters) };
}

function requireTenant(context: InstanceContext, instance: InstanceObject): void {
  const { namespace = '' } = instance.metadata;
  const organization = organizationOf(namespace);
  if (organization === undefined)
    throw new Unmet(
      'TenantNotReady',
      `namespace ${namespace} is not that of a Tenant; apply the Instance in tenant-<name of its Tenant> instead`,
    );
  const tenant = context.tenants.get(undefined, organization);
  if (!tenant)
    throw new Unmet(
      'TenantNotReady',
      `there is no Tenant ${organization} for namespace ${namespace}; apply it, or apply the Instance in the namespace of another`,
    );
  // Its guard rails were there before the first child: what becomes of it later, its deletion too, is no outage.
  if (hasFinalizer(instance)) return;
  const ready = tenant.status?.conditions?.find((condition) => condition.type === 'Ready');
  if (ready?.status !== 'True')
    throw new Unmet(
      'TenantNotReady',
      `Tenant ${organization} is not ready: ${ready?.message ?? 'not handled yet'}`,
      true,
    );
}

function requireBlueprint(context: InstanceContext, instance: InstanceObject): CompiledBlueprint {
  const { name = '', version = '' } = instance.spec?.blueprintRef ?? {};
  const object = blueprintObjectName(name, version);
  const blueprint = context.blueprints.get(undefined, object);
  if (!blueprint || blueprint.spec?.name !== name || blueprint.spec.version !== version) {
    const missing = `Blueprint ${object} (${name} ${version}) is not on this cluster`;
    // The control plane takes no order without its Blueprint; the feed keeps no order between the two.
    if (isControlled(instance))
      throw new Unmet('BlueprintNotFound', `${missing} yet; the control plane sends it`, true);
    throw new Unmet('BlueprintNotFound', `${missing}; apply it, or pin a version that is`);
  }
  const { compiled, problems } = context.compiled.get(blueprint);
  if (!compiled)
    throw new Unmet(
      'BlueprintInvalid',
      `Blueprint ${object} has ${counted(problems.length, 'problem')}; kubectl describe blueprint ${object} says where`,
    );
  return compiled;
}

function requireParameters(blueprint: CompiledBlueprint, instance: InstanceObject): Record<string, unknown> {
  const problems = checkParameters(blueprint.spec, instance.spec?.parameters, 'hidden');
  if (problems.length > 0) throw new Unmet('ParametersInvalid', tellProblems(problems, MAX_MESSAGE));
  const wanted = immutableValues(blueprint.spec, instance.spec?.parameters);
  const changed = overturned(instance.status?.immutable ?? {}, wanted);
  if (changed.length > 0)
    throw new Unmet(
      'ParametersInvalid',
      changed
        .map(([path, accepted]) => `${path} cannot change after creation (it is ${JSON.stringify(accepted)})`)
        .join('; ')
        .concat('; set the old value again, or create a new Instance'),
    );
  return applyDefaults(blueprint.spec, instance.spec?.parameters);
}

function requireItems(
  blueprint: CompiledBlueprint,
  instance: InstanceObject,
  parameters: Record<string, unknown>,
): PlannedChild[] {
  try {
    return childrenOfInstance(instance, blueprint, parameters);
  } catch (error) {
    if (error instanceof ItemsProblem)
      throw new Unmet('ParametersInvalid', `${error.message}: ${error.remedy}`);
    throw error;
  }
}
