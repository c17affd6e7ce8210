import type { Condition } from '../conditions.ts';
import { ANNOTATIONS, API_VERSION } from '../identity.ts';
import type { BlueprintSpec } from './blueprint.ts';
import type { DataPlaneSpec, DataPlaneStatus } from './data-plane.ts';
import type { DesiredStamp, InstanceSpec, InstanceStatus } from './instance.ts';
import type { TenantSpec, TenantStatus } from './tenant.ts';

export interface ObjectMeta {
  name: string;
  namespace?: string;
  uid?: string;
  resourceVersion?: string;
  generation?: number;
  creationTimestamp?: string;
  deletionTimestamp?: string;
  labels?: Record<string, string>;
  annotations?: Record<string, string>;
  finalizers?: string[];
  ownerReferences?: {
    apiVersion: string;
    kind: string;
    name: string;
    uid: string;
    controller?: boolean;
    blockOwnerDeletion?: boolean;
  }[];
}

/** Any Kubernetes object as JSON. */
export interface KubeObject<Spec = unknown, Status = unknown> {
  apiVersion: string;
  kind: string;
  metadata: ObjectMeta;
  spec?: Spec;
  status?: Status;
}

export interface BlueprintStatus {
  observedGeneration: number;
  conditions?: Condition[];
  desired?: DesiredStamp;
  digest?: string;
}

export type BlueprintObject = KubeObject<BlueprintSpec, BlueprintStatus>;
export type InstanceObject = KubeObject<InstanceSpec, InstanceStatus>;
export type TenantObject = KubeObject<TenantSpec, TenantStatus>;
export type DataPlaneObject = KubeObject<DataPlaneSpec, DataPlaneStatus>;

/**
 * Whether the control plane owns it, and not whoever applied it here. Between its two first writes an Instance of
 * the control plane has the annotation and not yet the stamp.
 */
export const isControlled = ({ status, metadata }: InstanceObject): boolean =>
  status?.desired !== undefined || metadata.annotations?.[ANNOTATIONS.id] !== undefined;

/** Plural resource name and scope of each Felucca kind. */
export const RESOURCES = {
  DataPlane: { apiVersion: API_VERSION, kind: 'DataPlane', plural: 'dataplanes', namespaced: false },
  Tenant: { apiVersion: API_VERSION, kind: 'Tenant', plural: 'tenants', namespaced: false },
  Blueprint: { apiVersion: API_VERSION, kind: 'Blueprint', plural: 'blueprints', namespaced: false },
  Instance: { apiVersion: API_VERSION, kind: 'Instance', plural: 'instances', namespaced: true },
} as const;
