import { type BinaryName, binaries } from './versions.ts';

/** What is of use on this machine: real nodes need Linux and root; kind is fetched when Docker turns out to be there. */
export function availableTools(): { binaries: BinaryName[]; nodes: boolean } {
  const nodes = process.platform === 'linux' && process.getuid?.() === 0;
  const names = (Object.keys(binaries) as BinaryName[]).filter((name) => {
    const linuxOnly = 'linuxOnly' in binaries[name];
    return name !== 'kind' && (nodes || !linuxOnly);
  });
  return { binaries: names, nodes };
}
