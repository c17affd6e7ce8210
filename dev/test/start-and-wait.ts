// Run by cluster-crash.test.ts as a process of its own, to be killed with SIGKILL.
import { startCluster } from '../src/index.ts';

const [name = '', provider = 'bare'] = process.argv.slice(2);
const cluster = await startCluster({ name, provider: provider as 'bare' | 'nodes' });
process.stdout.write(`${JSON.stringify({ stateDir: cluster.stateDir })}\n`);
setInterval(() => {}, 1_000);
