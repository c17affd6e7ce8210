import { readFile } from 'node:fs/promises';

/** Paths of PEM files. */
export interface ApiTlsFiles {
  /** Authority behind the control plane's address, where the public ones don't know it. */
  ca?: string;
  /** Certificate and key that show to whatever stands in front of the control plane that this is a data plane. */
  cert?: string;
  key?: string;
}
export type ApiTlsOptions = { [name in keyof ApiTlsFiles]?: Buffer };

/**
 * Their content now. Read for every request: who renews a certificate replaces the files, and a connection with the old one
 * is not used for a request with the new one. Half of a renewal fails as a connection does, and is tried again.
 * @throws with the path of what cannot be read
 */
export async function readTlsFiles(files: ApiTlsFiles): Promise<ApiTlsOptions> {
  const read = async (name: string, path: string): Promise<[string, Buffer]> => {
    try {
      return [name, await readFile(path)];
    } catch (error) {
      throw new Error(`${path} cannot be read: ${(error as Error).message}`);
    }
  };
  return Object.fromEntries(await Promise.all(Object.entries(files).map(([name, path]) => read(name, path))));
}
