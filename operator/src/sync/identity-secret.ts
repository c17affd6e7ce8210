import { IDENTITY_SECRET, type IdentityStore } from './identity-store.ts';
import type { KubeTransport } from './kube-cluster.ts';

interface SecretBody {
  data?: Record<string, string>;
  metadata?: { resourceVersion?: string };
  message?: string;
}

/** The identity in a Secret of the operator's own namespace; no other Secret is ever touched from here. */
export function identitySecret(transport: KubeTransport, namespace: string): IdentityStore {
  const collection = `/api/v1/namespaces/${namespace}/secrets`;
  const path = `${collection}/${IDENTITY_SECRET}`;
  const send: KubeTransport = (request) =>
    transport(request).catch((error: Error) => {
      throw new Error(`Secret ${IDENTITY_SECRET}: ${error.message}`, { cause: error });
    });
  const object = (data: Record<string, string>, resourceVersion?: string) => ({
    apiVersion: 'v1',
    kind: 'Secret',
    metadata: { name: IDENTITY_SECRET, namespace, ...(resourceVersion ? { resourceVersion } : {}) },
    type: 'Opaque',
    data: Object.fromEntries(
      Object.entries(data).map(([name, value]) => [name, Buffer.from(value).toString('base64')]),
    ),
  });
  return {
    read: async () => {
      const answer = await send({ method: 'GET', path });
      if (answer.status === 404) return undefined;
      const { data = {}, metadata } = ok(answer);
      const decoded = Object.entries(data).map(([name, value]) => [
        name,
        Buffer.from(value, 'base64').toString(),
      ]);
      return { data: Object.fromEntries(decoded), resourceVersion: metadata?.resourceVersion ?? '' };
    },
    create: (data) =>
      won(send({ method: 'POST', path: collection, contentType: JSON_TYPE, body: object(data) })),
    update: (data, resourceVersion) =>
      won(send({ method: 'PUT', path, contentType: JSON_TYPE, body: object(data, resourceVersion) })),
  };
}

const JSON_TYPE = 'application/json';

async function won(answering: ReturnType<KubeTransport>): Promise<boolean> {
  const answer = await answering;
  if (answer.status === 409) return false;
  ok(answer);
  return true;
}

function ok(answer: { status: number; body: unknown }): SecretBody {
  const body = (answer.body ?? {}) as SecretBody;
  if (answer.status >= 300)
    throw new Error(
      `Secret ${IDENTITY_SECRET}: HTTP ${answer.status} ${body.message ?? ''}; the operator needs get, create and update on it`,
    );
  return body;
}
