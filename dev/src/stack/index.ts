import { mkdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { resolveBinary } from '../binaries/resolve.ts';
import { type BinaryName, binaries } from '../binaries/versions.ts';
import { chooseProvider } from '../cluster/choose-provider.ts';
import type { Provider } from '../cluster/cluster.ts';
import { startCluster } from '../cluster/start-cluster.ts';
import { repository } from '../images/bundle.ts';
import { buildImages, type ImageName } from '../images/index.ts';
import { addressesOf } from './addresses.ts';
import type { Api, Json } from './api.ts';
import { publishExamples } from './blueprints.ts';
import { type ControlApi, startControlApi } from './control-api.ts';
import { openDatabase, type StackDatabase } from './database.ts';
import { installOperator, type Operator } from './operator.ts';
import { createPhases, type Phases } from './phases.ts';
import { type StackCluster, stackCluster } from './stack-cluster.ts';
import { foundState, openState, stackFolder, temporaryFolder } from './state.ts';

export { Api, type Json } from './api.ts';
export type { ControlApi } from './control-api.ts';
export { installChart } from './helm.ts';
export { type Operator, operatorKubeconfig } from './operator.ts';
export type { StackCluster } from './stack-cluster.ts';
export { databaseName, openState, readOwner, stackFolder } from './state.ts';

export interface StackOptions {
  /** Lower case letters, digits and dashes; several stacks run side by side. */
  readonly name: string;
  /** Keep data, keys and addresses for the next start of the same name. */
  readonly persistent: boolean;
  readonly provider?: Provider | 'auto';
  /** Default: as a pod where containers run, else as a process with the rights of the chart's ServiceAccount. */
  readonly operator?: 'helm' | 'process';
  /** A Postgres of your own instead of the embedded one. */
  readonly databaseUrl?: string;
  readonly signal?: AbortSignal;
  readonly onProgress?: (line: string) => void;
}

export interface Stack {
  readonly name: string;
  readonly provider: Provider;
  /** False with simulated nodes: there, no container ever runs. */
  readonly realContainers: boolean;
  readonly cluster: StackCluster;
  readonly apiUrl: string;
  readonly platformKey: string;
  readonly api: Api;
  readonly dataPlane: { readonly id: string; readonly name: string };
  readonly controlApi: ControlApi;
  readonly operator: Operator;
  readonly postgres: StackDatabase;
  /** Keys, logs and, if persistent, data. */
  readonly stateDir: string;
  readonly logs: string;
  readonly phases: Phases;
  stop(): Promise<void>;
}

const dataPlaneName = 'local';

/** Postgres, Kubernetes, control-api and a joined operator with both example Blueprints published. */
export async function startStack(options: StackOptions): Promise<Stack> {
  const phases = createPhases(options.onProgress ?? (() => {}));
  const path = options.persistent ? stackFolder(options.name) : temporaryFolder(options.name);
  mkdirSync(path, { recursive: true, mode: 0o700 });
  const state = openState(path);
  const before = state.claim(repository);
  if (options.persistent) phases.say(foundState(path, before, repository));
  const undo: (() => Promise<void> | void)[] = [];
  let stopping: Promise<void> | undefined;
  const stop = () => {
    stopping ??= undoAll(undo);
    return stopping;
  };
  let failed = false;
  undo.push(() => {
    // The logs of a failed start are named in its error; the next start removes them.
    if (options.persistent || failed) state.release();
    else rmSync(path, { recursive: true, force: true });
  });
  const phase = <T>(title: string, work: (say: (detail: string) => void) => Promise<T>) => {
    options.signal?.throwIfAborted();
    return phases.run(title, work);
  };

  try {
    const provider = await chooseProvider(options.provider ?? 'auto');
    await phase('Programs', (say) => fetchPrograms(provider, say));
    const cluster = await phase('Kubernetes', async (say) => {
      const started = await startCluster({
        name: options.name,
        provider,
        persistent: options.persistent,
        stateDir: join(path, 'cluster'),
        onProgress: say,
        ...(options.signal === undefined ? {} : { signal: options.signal }),
      });
      undo.push(() => started.stop());
      say(`provider ${started.provider}, kubeconfig ${started.kubeconfigPath}`);
      return stackCluster(started);
    });
    const postgres = await phase('Postgres', async (say) => {
      const database = await openDatabase(options, state, say);
      undo.push(() => database.stop());
      return database;
    });
    const kind = operatorKind(options, cluster.provider, cluster.realContainers);
    let operatorImage: string | undefined;
    if (cluster.realContainers && cluster.provider !== 'existing') {
      const needed: ImageName[] = kind === 'pod' ? ['operator', 'web', 'postgres'] : ['web', 'postgres'];
      operatorImage = await phase('Images', async (say) => {
        const images = await buildImages(needed, say);
        for (const name of needed) await cluster.loadImage(images[name].archive);
        return images.operator?.archive;
      });
    }
    const addresses = addressesOf(cluster.hostAddress);
    const { controlApi, api, platformKey, port } = await phase('control-api', async (say) => {
      const started = await startControlApi({
        state,
        databaseUrl: postgres.url,
        host: addresses.listen,
        say: phases.say,
      });
      undo.push(() => started.controlApi.stop());
      say(`${started.api.url}, log ${started.controlApi.logPath}`);
      return started;
    });
    const dataPlane = await phase('Data plane and Blueprints', async (say) => {
      const row = await ensureDataPlane(api);
      say(`data plane "${row.name}"; published: ${(await publishExamples(api)).join(', ')}`);
      return row;
    });
    const operator = await phase(`Operator, as a ${kind}`, async (say) => {
      const installed = await installOperator({
        cluster,
        state,
        api,
        kind,
        dataPlane: dataPlane.name,
        image: operatorImage,
        say,
        apiUrl: `http://${addresses.forPods}:${port}`,
      });
      undo.push(() => installed.stop());
      say('CRDs and chart installed; waiting for it to join');
      await installed.waitReady();
      return installed;
    });
    return {
      name: options.name,
      provider: cluster.provider,
      realContainers: cluster.realContainers,
      cluster,
      apiUrl: api.url,
      platformKey,
      api,
      dataPlane,
      controlApi,
      operator,
      postgres,
      stateDir: path,
      logs: state.logs,
      phases,
      stop,
    };
  } catch (error) {
    failed = true;
    await stop();
    throw error;
  }
}

/** All before anything starts, since the first time it may take minutes. */
async function fetchPrograms(provider: Provider, say: (line: string) => void): Promise<void> {
  const needed = (Object.keys(binaries) as BinaryName[]).filter((name) => {
    if (name === 'kubectl' || name === 'helm') return true;
    if (name === 'crane' || provider === 'existing') return false;
    if (name === 'kind' || provider === 'kind') return name === provider;
    if (name === 'kwok') return provider === 'kwok';
    return provider === 'nodes' || !('linuxOnly' in binaries[name]);
  });
  for (const name of needed) await resolveBinary(name, say);
}

async function ensureDataPlane(api: Api): Promise<{ id: string; name: string }> {
  const found: Json | undefined = await api.find(`/v1/data-planes/${dataPlaneName}`);
  const { id, name } = found ?? (await api.ok('POST', '/v1/data-planes', { name: dataPlaneName }));
  return { id, name };
}

function operatorKind(options: StackOptions, provider: Provider, realContainers: boolean): 'pod' | 'process' {
  if (options.operator === 'process' || !realContainers) return 'process';
  // No way to bring our image into somebody else's cluster, unless the caller says that it is there.
  return provider === 'existing' && options.operator !== 'helm' ? 'process' : 'pod';
}

/** In reverse order; one step that fails does not keep the others from cleaning. */
async function undoAll(undo: (() => Promise<void> | void)[]): Promise<void> {
  const errors: unknown[] = [];
  for (const step of undo.splice(0).reverse()) {
    try {
      await step();
    } catch (error) {
      errors.push(error);
    }
  }
  if (errors.length > 0) throw new AggregateError(errors, `stopping left ${errors.length} errors`);
}
