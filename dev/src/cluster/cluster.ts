import type { SupervisedChild } from '../process/child.ts';
import type { KeyPairFiles, LeafRequest } from './certificates.ts';

export type Provider = 'kind' | 'nodes' | 'kwok' | 'bare' | 'existing';

export interface ClusterOptions {
  /** Also the folder name of its state. Lower case letters, digits and dashes. */
  readonly name: string;
  /** Default `auto`: kind where Docker answers, else nodes on Linux as root, else kwok. */
  readonly provider?: Provider | 'auto';
  /** How many nodes; default 2 (`bare` and `existing` ignore it; `nodes` allows 8). */
  readonly nodes?: number;
  /** Keep objects, keys, tokens, volumes and addresses for the next start of the same name. Default false. */
  readonly persistent?: boolean;
  /** Where everything is kept. Default: the cache's `clusters/<name>`. */
  readonly stateDir?: string;
  /** Let etcd wait for the disk. Default false, which is right for tests and wrong for measurements. */
  readonly durableWrites?: boolean;
  /** File of an audit policy; the log is `logs/audit.log` in the state folder. Only where we start the API server. */
  readonly auditPolicy?: string;
  readonly onProgress?: (line: string) => void;
  /** For the whole start, binaries excluded. Default 120 s. */
  readonly timeoutMs?: number;
  /** Gives up a start that is under way and cleans after it. */
  readonly signal?: AbortSignal;
}

/** A Kubernetes API server and whatever stands behind it. */
export interface Cluster {
  readonly name: string;
  readonly provider: Provider;
  /** False on `bare` and `kwok`: there, no container ever runs. */
  readonly realContainers: boolean;
  readonly server: string;
  /** Cluster admin, mode 0600. */
  readonly kubeconfigPath: string;
  readonly caPem: string;
  readonly adminToken?: string;
  /** Under which pods (or, without real containers, operator processes) reach a server on this host. Bind to it. */
  readonly hostAddress: string;
  readonly stateDir: string;
  /** Process name → log file. */
  readonly logs: Readonly<Record<string, string>>;
  /** Our processes by name (`etcd`, `kube-apiserver`, …, `node-1`), to pause, kill or restart them in tests. */
  readonly processes: Readonly<Record<string, SupervisedChild>>;
  /** Behind the API server; only where we start it. */
  readonly inside?: ClusterInside;
  /** Makes an image archive (docker or OCI layout, .tar) known to every node. No effect without real containers. */
  loadImage(archive: string): Promise<void>;
  /** Runs kubectl as admin and returns its stdout; throws with its stderr. `stdin` is text piped in. */
  kubectl(args: readonly string[], options?: KubectlOptions): Promise<string>;
  stop(): Promise<void>;
}

/** What a test that breaks the control plane needs of it. */
export interface ClusterInside {
  readonly etcdUrl: string;
  /** A certificate that the cluster's clients trust. */
  issue(request: LeafRequest): Promise<KeyPairFiles>;
  /** A second API server on the same state (once per cluster), over `etcdUrl`; returns its URL. */
  addApiServer(etcdUrl: string): Promise<string>;
}

export interface KubectlOptions {
  readonly stdin?: string;
  readonly timeoutMs?: number;
}
