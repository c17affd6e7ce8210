import type { CompiledBlueprint } from '../blueprint/compile.ts';
import { evaluate } from '../blueprint/evaluate.ts';
import type { Expression } from '../blueprint/expression.ts';
import { markOf, secretMark } from '../blueprint/mark.ts';
import { type PlannedChild, plannedChildren } from '../blueprint/planned-children.ts';
import { fill } from '../blueprint/render.ts';
import { createScope, type Observed, type Scope, variables } from '../blueprint/scope.ts';
import { desiredChild } from '../children/desired-child.ts';
import { API_VERSION, tenantNamespace } from '../identity.ts';
import type { InstanceSpec } from '../resources/instance.ts';
import type { InstanceObject, KubeObject } from '../resources/object.ts';

export interface InstanceNames {
  organization: string;
  name: string;
  /** Of the Instance on its cluster, where that is known. */
  uid?: string;
}

/** What an Instance is ordered to be. */
export interface InstanceVersion {
  blueprint: CompiledBlueprint;
  /** Valid, with defaults. */
  parameters: Record<string, unknown>;
  suspend: boolean;
  deletionPolicy: NonNullable<InstanceSpec['deletionPolicy']>;
}

/**
 * The children as they can be told without a cluster. A field that is read from another child is a mark instead, equal
 * as long as nothing that it depends on differs; so is a sensitive value. Everything here throws ExpressionProblem.
 */
export class Preview {
  readonly #instance: InstanceObject;
  readonly #scope: Scope;
  /** In the order in which they are applied. */
  readonly children: readonly PlannedChild[];

  constructor(version: InstanceVersion, names: InstanceNames) {
    const { blueprint, parameters, suspend, deletionPolicy } = version;
    const { name, organization, uid = '' } = names;
    const namespace = tenantNamespace(organization);
    const { name: product, version: productVersion } = blueprint.spec;
    this.#instance = {
      apiVersion: API_VERSION,
      kind: 'Instance',
      metadata: { name, namespace, uid },
      spec: { blueprintRef: { name: product, version: productVersion }, parameters, suspend, deletionPolicy },
    };
    const instance = { name, organization, namespace, uid };
    this.children = plannedChildren(blueprint, createScope(blueprint, parameters, instance));
    // Names of children are known without looking at them.
    const named: Record<string, Observed[string]> = {};
    for (const { compiled, name, each } of this.children) {
      const { apiVersion, kind } = compiled;
      const object = { apiVersion, kind, metadata: { name, namespace } };
      const { id } = compiled.node;
      named[id] = each ? { ...(named[id] as object), [each.key]: object } : object;
    }
    this.#scope = createScope(blueprint, parameters, instance, named);
  }

  /** @param isTouched whether fields of a node's children may become others by this very change */
  object(child: PlannedChild, isTouched: (node: string) => boolean): KubeObject {
    const { compiled, name } = child;
    const value = (expression: Expression): unknown => this.#value(expression, child, isTouched);
    const body = fill(compiled.body, value) as Record<string, unknown>;
    const metadata = {
      ...(body.metadata as object),
      name,
      namespace: this.#instance.metadata.namespace ?? '',
    };
    const rendered = { ...body, apiVersion: compiled.apiVersion, kind: compiled.kind, metadata };
    return desiredChild(rendered, child, this.#instance).object;
  }

  #value(expression: Expression, { each }: PlannedChild, isTouched: (node: string) => boolean): unknown {
    if (expression.secrets.size > 0) return secretMark(expression, this.#scope, each);
    if (expression.nodeContents.size === 0)
      return evaluate(expression, variables(this.#scope, each ? { each } : {}));
    return markOf(expression, this.#scope, each, [...expression.nodeContents].filter(isTouched));
  }
}
