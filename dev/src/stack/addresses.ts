import { isIP } from 'node:net';
import { networkInterfaces } from 'node:os';

/** Where the API listens, and under which host names people and pods reach it. */
export interface Addresses {
  readonly listen: string;
  readonly forPeople: string;
  readonly forPods: string;
}

/**
 * One address for all where the cluster's view of this machine is one of its own addresses. Docker Desktop's
 * name for the host is not: there, what listens on the loopback is reached.
 */
export function addressesOf(hostAddress: string): Addresses {
  const own = Object.values(networkInterfaces()).some((list) =>
    list?.some((item) => item.address === hostAddress),
  );
  if (isIP(hostAddress) !== 0 && own)
    return { listen: hostAddress, forPeople: hostAddress, forPods: hostAddress };
  return { listen: '127.0.0.1', forPeople: '127.0.0.1', forPods: hostAddress };
}
