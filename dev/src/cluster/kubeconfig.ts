import { writeFileSync } from 'node:fs';

export interface KubeconfigUser {
  readonly token?: string;
  readonly certPem?: string;
  readonly keyPem?: string;
}

/** Writes a self-contained kubeconfig (JSON, which is YAML), readable by the owner only. Returns its path. */
export function writeKubeconfig(
  path: string,
  cluster: { name: string; server: string; caPem: string },
  user: KubeconfigUser,
): string {
  const base64 = (text: string) => Buffer.from(text).toString('base64');
  const document = {
    apiVersion: 'v1',
    kind: 'Config',
    'current-context': cluster.name,
    clusters: [
      {
        name: cluster.name,
        cluster: { server: cluster.server, 'certificate-authority-data': base64(cluster.caPem) },
      },
    ],
    users: [
      {
        name: cluster.name,
        user: {
          ...(user.token === undefined ? {} : { token: user.token }),
          ...(user.certPem === undefined ? {} : { 'client-certificate-data': base64(user.certPem) }),
          ...(user.keyPem === undefined ? {} : { 'client-key-data': base64(user.keyPem) }),
        },
      },
    ],
    contexts: [{ name: cluster.name, context: { cluster: cluster.name, user: cluster.name } }],
  };
  writeFileSync(path, `${JSON.stringify(document, null, 2)}\n`, { mode: 0o600 });
  return path;
}
