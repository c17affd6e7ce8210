import { hostname } from 'node:os';
import { pino } from 'pino';
import { type Config, readConfig } from './config.ts';
import { FeluccaOperator } from './operator.ts';
import { OperatorProcess } from './operator-process.ts';

// The composition root: only this file reads the environment, takes signals and ends the process.
function configOrExit(): Config {
  try {
    return readConfig(process.env, hostname());
  } catch (error) {
    process.stderr.write(`${(error as Error).message}\n`);
    process.exit(2);
  }
}

const config = configOrExit();
const log = pino({ level: config.logLevel, base: { pod: config.podName } });
// Losing the Lease or a part of ourselves: whatever we still believe may be wrong, so nothing is flushed.
const onFatal = (why: string): never => {
  log.fatal(why);
  process.exit(1);
};
process.on('uncaughtException', (err) => {
  log.fatal({ err }, 'uncaught exception');
  process.exit(1);
});

const operator = new FeluccaOperator(new OperatorProcess(config, log, onFatal), log);
let stopping = false;
const stop = (signal: NodeJS.Signals): void => {
  // The second signal of an impatient person.
  if (stopping) process.exit(1);
  stopping = true;
  setTimeout(
    () => onFatal(`not stopped within ${config.shutdownTimeoutMs} ms after ${signal}`),
    config.shutdownTimeoutMs,
  ).unref();
  operator.stop().then(
    () => process.exit(0),
    (error: unknown) => onFatal(`could not stop: ${String(error)}`),
  );
};
process.on('SIGTERM', stop);
process.on('SIGINT', stop);

await operator.start().catch((error: unknown) => onFatal(String(error)));
