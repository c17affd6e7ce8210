import { networkInterfaces } from 'node:os';

/** The first non-internal IPv4 address of this machine: the best guess for how a remote cluster reaches it. */
export function hostAddressTowards(): string {
  for (const addresses of Object.values(networkInterfaces())) {
    const found = addresses?.find((address) => address.family === 'IPv4' && !address.internal);
    if (found !== undefined) return found.address;
  }
  return '127.0.0.1';
}
