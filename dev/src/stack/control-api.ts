import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { repository } from '../images/bundle.ts';
import { type SupervisedChild, startChild } from '../process/child.ts';
import { logTail } from '../process/log-tail.ts';
import { unexpectedEnd } from '../process/unexpected-end.ts';
import { Api } from './api.ts';
import { keptPort, newPlatformKey, type StateFolder } from './state.ts';

const startTimeoutMs = 60_000;

export interface ControlApi {
  readonly pid: number | undefined;
  readonly logPath: string;
  /** As the kernel does it when memory is short: no drain, no goodbye. */
  kill(): Promise<void>;
  /** Starts it again if it does not run; returns when it serves. */
  start(): Promise<void>;
  stop(): Promise<void>;
}

export interface ControlApiOptions {
  readonly state: StateFolder;
  readonly databaseUrl: string;
  /** Address to listen on. */
  readonly host: string;
  readonly say: (line: string) => void;
}

/** control-api as a process of this machine, on a port that it keeps over restarts. */
export async function startControlApi(
  options: ControlApiOptions,
): Promise<{ controlApi: ControlApi; api: Api; platformKey: string; port: number }> {
  const { state, host, say } = options;
  const entry = join(repository, 'control-api/src/main.ts');
  if (!existsSync(entry)) throw new Error(`${entry} is missing`);
  const port = await keptPort(state, 'api-port', host);
  const platformKey = state.remember('platform-key', newPlatformKey);
  let started = false;
  const spec = {
    name: 'control-api',
    command: process.execPath,
    args: [entry],
    logPath: join(state.logs, 'control-api.log'),
    cwd: repository,
    env: {
      PATH: process.env['PATH'] ?? '',
      NODE_ENV: 'production',
      DATABASE_URL: options.databaseUrl,
      FELUCCA_KEY_DIR: join(state.path, 'keys'),
      FELUCCA_BOOTSTRAP_KEY: platformKey,
      HOST: host,
      PORT: String(port),
      ...(process.env['LOG_LEVEL'] ? { LOG_LEVEL: process.env['LOG_LEVEL'] } : {}),
    },
  };
  const onExit = unexpectedEnd({ ...spec, say, restart: () => child.restart() });
  const child: SupervisedChild = startChild(spec, { onExit: (exit) => started && onExit(exit) });
  const api = new Api(`http://${host}:${port}`, platformKey);
  const untilReady = async () => {
    if (await api.readyWithin(startTimeoutMs, () => child.running)) return;
    const how = child.running ? `did not answer within ${startTimeoutMs / 1000} s` : 'ended';
    await child.stop();
    throw new Error(`control-api ${how}.\nLog: ${child.logPath}\n${logTail(child.logPath)}`);
  };
  await untilReady();
  started = true;
  const controlApi: ControlApi = {
    get pid() {
      return child.pid;
    },
    logPath: child.logPath,
    kill: async () => void (await child.kill()),
    async start() {
      if (!child.running) await child.restart();
      await untilReady();
    },
    // Longer than its own limit for draining, so that a kill here means a hang.
    stop: () => child.stop(25_000),
  };
  return { controlApi, api, platformKey, port };
}
