import type { BlueprintSpec } from '../resources/blueprint.ts';
import type { CompiledNode } from './compile.ts';
import { type Problem, pointer } from './problem.ts';

/** What a child needs before it comes first; with equal rank the dependencies decide. */
const KIND_RANK: Record<string, number> = {
  Deployment: 1,
  StatefulSet: 1,
  Job: 1,
  CronJob: 1,
  Ingress: 2,
  HorizontalPodAutoscaler: 2,
  PodDisruptionBudget: 2,
};

/** Sets each node's wave; a cycle is a problem that names its path. */
export function setWaves(nodes: CompiledNode[], spec: BlueprintSpec): Problem[] {
  const byId = new Map(nodes.map((item) => [item.node.id, item]));
  const done = new Set<string>();
  const problems: Problem[] = [];
  const visit = (item: CompiledNode, trail: string[]): void => {
    const { id } = item.node;
    if (done.has(id) || problems.length > 0) return;
    if (trail.includes(id)) {
      const cycle = [...trail.slice(trail.indexOf(id)), id].join(' → ');
      problems.push({
        path: pointer('/nodes', spec.nodes.indexOf(item.node), 'manifest'),
        message: `nodes wait for each other: ${cycle}`,
        remedy: 'break the cycle; names are known without waiting: "${instance.name}-<node id>"',
      });
      return;
    }
    item.wave = KIND_RANK[item.kind] ?? 0;
    for (const id2 of item.dependsOn) {
      const dependency = byId.get(id2);
      if (!dependency) continue;
      visit(dependency, [...trail, id]);
      item.wave = Math.max(item.wave, dependency.wave + 1);
    }
    done.add(id);
  };
  for (const item of nodes) visit(item, []);
  return problems;
}
