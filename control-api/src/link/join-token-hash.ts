import { type KeyedHash, secretHash } from '../db/keyed-hash.ts';

/** @param id UUID, with or without dashes */
export const joinTokenHash = (hash: KeyedHash, id: string, dataPlaneId: string, secret: string): Buffer =>
  secretHash(hash, 'join token', [id.replaceAll('-', ''), dataPlaneId], secret);
