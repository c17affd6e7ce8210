import type { Condition, ConditionType, InstanceObject, KubeObject, TenantObject } from '@felucca/contract';

interface WithConditions {
  conditions?: Condition[] | undefined;
}

export const conditionOf = (
  object: KubeObject<unknown, WithConditions> | undefined,
  type: ConditionType,
): Condition | undefined => object?.status?.conditions?.find((condition) => condition.type === type);

export const isTrue = (
  object: KubeObject<unknown, WithConditions> | undefined,
  type: ConditionType,
): boolean => conditionOf(object, type)?.status === 'True';

/** Does the newest verdict speak about the newest spec? */
export const isHandled = ({ metadata, status }: InstanceObject | TenantObject): boolean =>
  (status?.observedGeneration ?? -1) >= (metadata.generation ?? 0);
