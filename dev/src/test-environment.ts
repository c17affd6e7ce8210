// A shell in which somebody works points at a cluster, a database and an API that are theirs.
const POINTS_ELSEWHERE =
  /^(KUBECONFIG|KUBERNETES_SERVICE_\w+|DATABASE_URL|NAME|PG[A-Z]+|HELM_\w+|FELUCCA_(?!CACHE$|TEST_LOG$)\w+)$/;

/** Tests have servers of their own: removes from the environment what names others. Where binaries are cached stays. */
export function forgetServers(environment: NodeJS.ProcessEnv): void {
  for (const name of Object.keys(environment)) if (POINTS_ELSEWHERE.test(name)) delete environment[name];
}
