import { createPrivateKey, generateKeyPairSync, type KeyObject, randomUUID } from 'node:crypto';
import { type JoinReply, joinReplySchema } from '@felucca/contract';
import { SignJWT } from 'jose';
import { type ApiClient, type Authorize, problemText } from './api-client.ts';
import { changeIdentity, IDENTITY_SECRET, type IdentityStore } from './identity-store.ts';
import { readSealingKeys, withNewSealingKey } from './sealing-keys.ts';

const FIELD = { privateKey: 'private-key.pem', publicKey: 'public-key', joined: 'link.json' } as const;

export interface OperatorKey {
  privateKey: KeyObject;
  /** JWK `x`. */
  publicKey: string;
}
export interface Identity extends JoinReply {
  key: OperatorKey;
  /** JWK `x` of what sensitive values are to be sealed to. */
  sealingKey: string;
}

export type JoinFailure = { failure: 'noToken' | 'refused' | 'unreachable'; message: string };

/**
 * The key is in the cluster before the control plane hears of it: a crash between the two repeats the join
 * with the same public key, which the API recognises, instead of burning the one-time token. An identity of an earlier
 * version gets the key that it lacks.
 */
export async function ensureKeys(
  store: IdentityStore,
): Promise<{ key: OperatorKey; sealingKey: string; joined?: JoinReply }> {
  const data = await changeIdentity(store, (stored) => withKeys(stored ?? {}));
  const joined = readJoined(data);
  return {
    key: readKey(data)!,
    sealingKey: readSealingKeys(data)[0]!.publicKey,
    ...(joined ? { joined } : {}),
  };
}

/** The same data, when nothing is missing. */
function withKeys(data: Record<string, string>): Record<string, string> {
  const own = readKey(data) ? data : { ...data, ...newKey() };
  return readSealingKeys(own).length > 0 ? own : withNewSealingKey(own);
}

function newKey(): Record<string, string> {
  const { privateKey, publicKey } = generateKeyPairSync('ed25519');
  return {
    [FIELD.privateKey]: privateKey.export({ type: 'pkcs8', format: 'pem' }).toString(),
    [FIELD.publicKey]: publicKey.export({ format: 'jwk' }).x ?? '',
  };
}

function readKey(data: Record<string, string>): OperatorKey | undefined {
  const pem = data[FIELD.privateKey];
  const publicKey = data[FIELD.publicKey];
  return pem && publicKey ? { privateKey: createPrivateKey(pem), publicKey } : undefined;
}

/** Which data plane this is, once it has joined. */
export function readJoined(data: Record<string, string>): JoinReply | undefined {
  const joined = data[FIELD.joined];
  return joined === undefined ? undefined : joinReplySchema.parse(JSON.parse(joined));
}

export async function ensureJoined(options: {
  store: IdentityStore;
  api: ApiClient;
  token: () => Promise<string | undefined>;
  instance: string;
  operatorVersion: string;
}): Promise<Identity | JoinFailure> {
  const { store, api, instance, operatorVersion } = options;
  const { key, sealingKey, joined } = await ensureKeys(store);
  if (joined) return { ...joined, key, sealingKey };
  const token = await options.token();
  if (!token)
    return {
      failure: 'noToken',
      message:
        'this data plane has not joined; create a join token and set FELUCCA_JOIN_TOKEN or FELUCCA_JOIN_TOKEN_FILE',
    };
  const body = JSON.stringify({ token, publicKey: key.publicKey, sealingKey, instance, operatorVersion });
  const reply = await api.postJson('/v1/join', body, 15_000).catch((error: Error) => error);
  if (reply instanceof Error)
    return { failure: 'unreachable', message: `the control plane did not answer: ${reply.message}` };
  if (reply.status >= 500 || reply.status === 429)
    return {
      failure: 'unreachable',
      message: `the control plane could not take the join: ${problemText(reply)}`,
    };
  const parsed = joinReplySchema.safeParse(reply.body);
  if (reply.status >= 300 || !parsed.success)
    return {
      failure: 'refused',
      message: `the join was refused (${problemText(reply)}); create a new join token`,
    };
  await remember(store, parsed.data);
  return { ...parsed.data, key, sealingKey };
}

async function remember(store: IdentityStore, joined: JoinReply): Promise<void> {
  await changeIdentity(store, (stored) => {
    if (!stored)
      throw new Error(`Secret ${IDENTITY_SECRET} was deleted during the join; restart the operator`);
    return { ...stored, [FIELD.joined]: JSON.stringify(joined) };
  });
}

/** Instead of those pinned at join: kid → public key. */
export async function rememberSigningKeys(
  store: IdentityStore,
  signingKeys: Record<string, string>,
): Promise<void> {
  await changeIdentity(store, (stored) => {
    const joined = stored && readJoined(stored);
    if (!joined) throw new Error(`Secret ${IDENTITY_SECRET} was deleted; restart the operator`);
    return { ...stored, [FIELD.joined]: JSON.stringify({ ...joined, signingKeys }) };
  });
}

/** A token for one method and path, good for a minute and for one use. */
export function requestSigner(identity: Identity): Authorize {
  return async (method, path) => {
    const jwt = await new SignJWT({ htm: method, htu: path, jti: randomUUID() })
      .setProtectedHeader({ alg: 'EdDSA', kid: identity.keyId })
      .setIssuer(identity.dataPlaneId)
      .setAudience('felucca-control-api')
      .setIssuedAt()
      .sign(identity.key.privateKey);
    return `Felucca ${jwt}`;
  };
}
