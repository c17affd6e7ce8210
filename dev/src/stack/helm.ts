import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { resolveBinary } from '../binaries/resolve.ts';
import { repository } from '../images/bundle.ts';
import type { StateFolder } from './state.ts';

const installTimeoutMs = 120_000;

export interface HelmRelease {
  readonly name: string;
  readonly namespace: string;
  readonly chart: string;
  readonly values: unknown;
  readonly kubeconfigPath: string;
}

/** `helm upgrade --install` of one of our charts. */
export async function installChart(release: HelmRelease, state: StateFolder): Promise<void> {
  const chart = join(repository, 'helm', release.chart);
  if (!existsSync(join(chart, 'Chart.yaml'))) throw new Error(`the chart ${chart} is missing`);
  const values = `${release.name}.values.json`;
  // Holds the join token, so it is kept privately like the keys.
  state.store(values, JSON.stringify(release.values, null, 2));
  const helm = await resolveBinary('helm');
  const folder = (name: string) => join(state.path, 'helm', name);
  await run(
    helm,
    [
      ...['upgrade', release.name, chart, '--install'],
      ...['--namespace', release.namespace, '--create-namespace', '--values', join(state.path, values)],
    ],
    {
      PATH: process.env['PATH'] ?? '',
      KUBECONFIG: release.kubeconfigPath,
      // Without a home, discovery would be cached in the working directory.
      HOME: folder('home'),
      HELM_CACHE_HOME: folder('cache'),
      HELM_CONFIG_HOME: folder('config'),
      HELM_DATA_HOME: folder('data'),
    },
  );
}

function run(command: string, args: readonly string[], env: Record<string, string>): Promise<string> {
  return new Promise((resolve, reject) => {
    execFile(command, args, { env, timeout: installTimeoutMs }, (error, stdout, stderr) => {
      if (error === null) return resolve(stdout);
      const why = error.killed ? `took over ${installTimeoutMs / 1000} s` : stderr.trim();
      reject(new Error(`helm ${args[0]} ${args[1]}: ${why}`));
    });
  });
}
