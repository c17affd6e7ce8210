import { execFile } from 'node:child_process';
import type { Provider } from './cluster.ts';

const probeTimeoutMs = 5_000;

/** `auto` prefers what runs real containers: kind where Docker answers, else nodes, else kwok. */
export async function chooseProvider(wanted: Provider | 'auto'): Promise<Provider> {
  if (wanted === 'nodes') {
    const obstacle = await obstacleToNodes();
    if (obstacle !== undefined) {
      throw new Error(
        `Provider "nodes" cannot run here: ${obstacle}. Use kind (with Docker) or kwok instead`,
      );
    }
  }
  if (wanted === 'kind' && !(await dockerAnswers()))
    throw new Error(
      'Provider "kind" cannot run here: Docker does not answer (`docker info`). Start it, or use nodes or kwok instead',
    );
  if (wanted !== 'auto') return wanted;
  if (await dockerAnswers()) return 'kind';
  return (await obstacleToNodes()) === undefined ? 'nodes' : 'kwok';
}

const dockerAnswers = (): Promise<boolean> => succeeds('docker', ['info', '--format', '{{.ServerVersion}}']);

/** Tries the real thing in namespaces that end with the try: root in a container often may not do any of it. */
async function obstacleToNodes(): Promise<string | undefined> {
  if (process.platform !== 'linux') return 'it needs Linux';
  if (process.getuid?.() !== 0) return 'it needs root';
  for (const tool of ['bash', 'ip', 'mount', 'nsenter', 'setpriv', 'unshare', 'tar']) {
    if (!(await succeeds('sh', ['-c', `command -v ${tool}`]))) return `${tool} is not installed`;
  }
  const attempt = 'mount -t tmpfs tmpfs /run && ip link add probe0 type veth peer name probe1';
  const namespaces = ['--mount', '--net', '--pid', '--fork', '--mount-proc', '--propagation', 'private'];
  if (!(await succeeds('unshare', [...namespaces, 'sh', '-c', attempt]))) {
    return 'this kernel or container allows no namespaces with mounts and virtual links';
  }
  const cgroups =
    'for c in /sys/fs/cgroup/ /sys/fs/cgroup/memory; do if [ -d $c ]; then [ -w $c ] || exit 1; fi; done';
  return (await succeeds('sh', ['-c', cgroups])) ? undefined : '/sys/fs/cgroup is read-only';
}

function succeeds(command: string, args: readonly string[]): Promise<boolean> {
  return new Promise((resolve) => {
    execFile(command, args, { timeout: probeTimeoutMs }, (error, stdout) => {
      // `docker info` prints an empty version and succeeds when only the client is there.
      resolve(error === null && (command !== 'docker' || stdout.trim() !== ''));
    });
  });
}
