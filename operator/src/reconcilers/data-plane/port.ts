import {
  API_VERSION,
  DATA_PLANE_NAME,
  type DataPlaneStatus,
  FIELD_MANAGERS,
  type KubeObject,
} from '@felucca/contract';
import type { KubeRequest, KubeTransport } from '../../sync/kube-cluster.ts';
import type { DataPlanePort } from './status.ts';

const PATH = `/apis/${API_VERSION}/dataplanes/${DATA_PLANE_NAME}`;

export function dataPlanePort(transport: KubeTransport): DataPlanePort {
  const send = async (request: KubeRequest): Promise<KubeObject<unknown, DataPlaneStatus>> => {
    const { status, body } = await transport(request);
    if (status < 300) return body as KubeObject<unknown, DataPlaneStatus>;
    throw new Error(
      `DataPlane ${DATA_PLANE_NAME}: HTTP ${status} ${(body as { message?: string })?.message ?? ''}`,
    );
  };
  return {
    read: async () => {
      const answer = await transport({ method: 'GET', path: PATH });
      return answer.status === 404 ? undefined : send({ method: 'GET', path: PATH });
    },
    create: () =>
      send({
        method: 'PATCH',
        path: `${PATH}?fieldManager=${FIELD_MANAGERS.reconciler}`,
        contentType: 'application/apply-patch+yaml',
        body: { apiVersion: API_VERSION, kind: 'DataPlane', metadata: { name: DATA_PLANE_NAME }, spec: {} },
      }),
    applyStatus: (object) =>
      send({
        method: 'PATCH',
        subresource: 'status',
        path: `${PATH}/status?fieldManager=${FIELD_MANAGERS.status}&force=true`,
        contentType: 'application/apply-patch+yaml',
        body: object,
      }),
  };
}
