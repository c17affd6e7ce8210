// Run by runtime-leader.test.ts as a process of its own, to be killed with SIGKILL.
import { pino } from 'pino';
import { HttpTransport, KubeClient, kubeconfigEndpoint, LeaderElection } from '../../src/runtime/index.ts';

const [kubeconfig = '', name = '', leaseDurationMs = ''] = process.argv.slice(2);
const client = new KubeClient(new HttpTransport({ endpoint: kubeconfigEndpoint(kubeconfig) }));
const election = new LeaderElection({
  client,
  log: pino({ level: 'silent' }),
  namespace: 'default',
  name,
  identity: `process-${process.pid}`,
  leaseDurationMs: Number(leaseDurationMs),
  onElected: ({ term }) => process.stdout.write(`${term}\n`),
  onLost: () => process.exit(1),
});
await election.run(new AbortController().signal);
