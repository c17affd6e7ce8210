import { createSocket } from 'node:dgram';
import { answer, parseQuestion, type Question, responseCode, typeA } from './dns-message.ts';
import type { KubeApi } from './kube-api.ts';

const maxInFlight = 256;
const serviceName = /^(?:([a-z0-9-]+)\.)?([a-z0-9-]+)\.([a-z0-9-]+)\.svc\.cluster\.local$/;

interface Service {
  readonly spec: { clusterIP?: string };
}

interface EndpointSlices {
  readonly items: readonly {
    endpoints?: readonly {
      addresses: readonly string[];
      hostname?: string;
      conditions?: { ready?: boolean };
    }[];
  }[];
}

/**
 * Cluster DNS in this process: `<service>.<namespace>.svc.cluster.local` and the names of headless Services'
 * pods, asked from the API server each time, A records only. Outside names do not resolve: nodes are cut off.
 */
export async function startDns(api: KubeApi, address: string): Promise<{ stop(): void }> {
  const socket = createSocket('udp4');
  let inFlight = 0;
  socket.on('message', (message, sender) => {
    const question = parseQuestion(message);
    if (question === undefined || inFlight >= maxInFlight) return;
    inFlight += 1;
    respond(api, question)
      .catch(() => answer(question, responseCode.serverFailure))
      .then((reply) => socket.send(reply, sender.port, sender.address))
      .catch(() => {
        // The socket closed meanwhile; whoever asked will ask again.
      })
      .finally(() => {
        inFlight -= 1;
      });
  });
  await new Promise<void>((resolve, reject) => {
    socket.once('error', reject);
    socket.bind(53, address, () => {
      socket.off('error', reject);
      socket.on('error', () => {});
      resolve();
    });
  });
  return { stop: () => socket.close() };
}

async function respond(api: KubeApi, question: Question): Promise<Buffer> {
  const addresses = await lookUp(api, question.name);
  if (addresses === undefined) return answer(question, responseCode.noSuchName);
  return answer(question, responseCode.ok, question.type === typeA ? addresses : []);
}

/** Undefined when there is no such name. */
async function lookUp(api: KubeApi, name: string): Promise<readonly string[] | undefined> {
  const match = serviceName.exec(name);
  if (match === null) return undefined;
  const [, pod, service, namespace] = match;
  const response = await api.call('GET', `/api/v1/namespaces/${namespace}/services/${service}`);
  if (response.status === 404) return undefined;
  if (response.status !== 200) throw new Error(`the API server answered ${response.status}`);
  const clusterIp = (JSON.parse(response.body) as Service).spec.clusterIP;
  if (pod === undefined && clusterIp !== undefined && clusterIp !== 'None') return [clusterIp];
  const slices = await api.get<EndpointSlices>(
    `/apis/discovery.k8s.io/v1/namespaces/${namespace}/endpointslices?labelSelector=kubernetes.io%2Fservice-name%3D${service}`,
  );
  const endpoints = slices.items.flatMap((slice) => slice.endpoints ?? []);
  const wanted = endpoints.filter((endpoint) =>
    pod === undefined ? endpoint.conditions?.ready !== false : endpoint.hostname === pod,
  );
  if (pod !== undefined && wanted.length === 0) return undefined;
  return wanted.flatMap((endpoint) => endpoint.addresses);
}
