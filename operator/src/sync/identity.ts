import { createHash, createPrivateKey, generateKeyPairSync, type KeyObject, randomUUID } from 'node:crypto';
import { JOIN_TOKEN_PATTERN, type JoinReply, joinReplySchema } from '@felucca/contract';
import { SignJWT } from 'jose';
import type { Logger } from 'pino';
import { z } from 'zod';
import { type ApiAnswer, type ApiClient, type Authorize, problemText } from './api-client.ts';
import { changeIdentity, IDENTITY_SECRET, type IdentityStore, readField } from './identity-store.ts';
import { readSealingKeys, withNewSealingKey } from './sealing-keys.ts';

/**
 * What the Secret holds besides the sealing keys. The names of the token that it joined with and of the one that was refused
 * last: a token is never tried twice, and one that is new is a person's word that this operator shall have a new key.
 */
const FIELD = {
  privateKey: 'private-key.pem',
  publicKey: 'public-key',
  joined: 'link.json',
  token: 'join-token-name',
  refused: 'refused-token.json',
  candidate: 'joining.json',
} as const;

export interface OperatorKey {
  privateKey: KeyObject;
  /** JWK `x`. */
  publicKey: string;
}
export interface Identity extends JoinReply {
  key: OperatorKey;
  /** JWK `x` of what sensitive values are to be sealed to. */
  sealingKey: string;
  /** It was given another token than the one that it joined with, and this is what came of that. */
  newToken?: JoinFailure;
}

export type JoinFailure = { failure: 'noToken' | 'refused' | 'unreachable' | 'identity'; message: string };

type Data = Record<string, string>;

const read = <T>(data: Data, field: string, parse: (text: string) => T): T | undefined =>
  readField(data, field, parse, 'and give the operator a new join token');

/** Tells one token from another, and nobody what it is. */
const nameOf = (token: string): string => createHash('sha256').update(token).digest('hex').slice(0, 32);

/** The key that a token is redeemed with. */
const candidateSchema = z.object({ token: z.string(), privateKey: z.string(), publicKey: z.string() });

function newCandidate(token: string): z.infer<typeof candidateSchema> {
  const { privateKey, publicKey } = generateKeyPairSync('ed25519');
  return {
    token,
    privateKey: privateKey.export({ type: 'pkcs8', format: 'pem' }).toString(),
    publicKey: publicKey.export({ format: 'jwk' }).x ?? '',
  };
}

const readCandidate = (data: Data) =>
  read(data, FIELD.candidate, (text) => candidateSchema.parse(JSON.parse(text)));

/** The token that was refused last, and why. */
const refusedSchema = z.object({ token: z.string(), message: z.string() });

const readRefused = (data: Data) =>
  read(data, FIELD.refused, (text) => refusedSchema.parse(JSON.parse(text)));

const withSealingKey = (data: Data): Data =>
  readSealingKeys(data).length > 0 ? data : withNewSealingKey(data);

/** The same data, when this token needs no key, or has it already: the one that tried it, or one that is about to. */
function withKeyFor(token: string, data: Data): Data {
  if (data[FIELD.token] === token && readKey(data)) return data;
  if (refusalOf(token, data)) return data;
  if (readCandidate(data)?.token === token) return data;
  return { ...data, [FIELD.candidate]: JSON.stringify(newCandidate(token)) };
}

function readKey(data: Data): OperatorKey | undefined {
  const privateKey = read(data, FIELD.privateKey, createPrivateKey);
  const publicKey = data[FIELD.publicKey];
  return privateKey && publicKey ? { privateKey, publicKey } : undefined;
}

/** Which data plane this is, once it has joined. */
export const readJoined = (data: Data): JoinReply | undefined =>
  read(data, FIELD.joined, (text) => joinReplySchema.parse(JSON.parse(text)));

function readIdentity(data: Data): Identity | undefined {
  const joined = readJoined(data);
  const key = readKey(data);
  return joined && key && { ...joined, key, sealingKey: readSealingKeys(data)[0]!.publicKey };
}

/** Of one that has joined; whoever has not tries again, with what may be another key. */
function refusalOf(token: string, data: Data): JoinFailure | undefined {
  const last = readRefused(data);
  if (last?.token !== token || !readIdentity(data)) return undefined;
  return { failure: 'refused', message: last.message };
}

/**
 * Who this operator is. With a token that it has not tried yet it joins, with a key that is made for that token; whoever has
 * joined before and cannot now goes on as before.
 *
 * The key is in the cluster before the control plane hears of it: a crash between the two repeats the join with the same
 * public key, which the API recognises, instead of burning the one-time token.
 * @throws what is wrong with the Secret, by its name
 */
export async function ensureJoined(options: {
  store: IdentityStore;
  api: ApiClient;
  token: () => Promise<string | undefined>;
  instance: string;
  operatorVersion: string;
  log: Pick<Logger, 'info'>;
}): Promise<Identity | JoinFailure> {
  const { store, log } = options;
  const token = await options.token();
  const name = token && nameOf(token);
  const data = await changeIdentity(store, (stored) => {
    // An identity of an earlier version gets the sealing key that it lacks.
    const own = withSealingKey(stored ?? {});
    return name ? withKeyFor(name, own) : own;
  });
  const known = readIdentity(data);
  if (!token || !name) return known ?? { failure: 'noToken', message: NO_TOKEN };
  if (known && data[FIELD.token] === name) return known;
  const refusal = refusalOf(name, data);
  if (known && refusal) return { ...known, newToken: refusal };
  const joined = await join(options, { token, name, data });
  if (!('failure' in joined)) {
    log.info({ keyId: joined.keyId, dataPlane: joined.dataPlaneName }, 'joined with a new key');
    return joined;
  }
  if (!known) return joined;
  // Of one that was used or is too old nothing will come.
  if (joined.failure === 'refused') {
    const word = JSON.stringify({ token: name, message: joined.message });
    await changeIdentity(store, (stored) => without(FIELD.candidate, { ...stored, [FIELD.refused]: word }));
  }
  return { ...known, newToken: joined };
}

const NO_TOKEN =
  'this data plane has not joined; create a join token and set FELUCCA_JOIN_TOKEN or FELUCCA_JOIN_TOKEN_FILE';

async function join(
  options: Parameters<typeof ensureJoined>[0],
  { token, name, data }: { token: string; name: string; data: Data },
): Promise<Identity | JoinFailure> {
  const { store, api, instance, operatorVersion } = options;
  if (!JOIN_TOKEN_PATTERN.test(token)) return refused('it does not look like fj_<id>_<secret>');
  const candidate = readCandidate(data);
  const publicKey = candidate?.token === name ? candidate.publicKey : readKey(data)!.publicKey;
  const sealingKey = readSealingKeys(data)[0]!.publicKey;
  const former = readJoined(data)?.dataPlaneId;
  const body = JSON.stringify({
    token,
    publicKey,
    sealingKey,
    instance,
    operatorVersion,
    ...(former === undefined ? {} : { dataPlaneId: former }),
  });
  const reply = await api.postJson('/v1/join', body, 15_000).catch((error: Error) => error);
  if (reply instanceof Error)
    return { failure: 'unreachable', message: `the control plane did not answer: ${reply.message}` };
  const joined = joinReplySchema.safeParse(reply.body);
  // A control plane of an earlier version did not ask.
  if (joined.data && former !== undefined && joined.data.dataPlaneId !== former)
    return refused(`it is for data plane ${joined.data.dataPlaneName}, and this cluster is another one`);
  if (reply.status === 200 && joined.success) return readIdentity(await remember(store, name, joined.data))!;
  return isRefusal(reply)
    ? refused(problemText(reply))
    : { failure: 'unreachable', message: `${api.address} did not take the join: ${problemText(reply)}` };
}

const refused = (why: string): JoinFailure => ({
  failure: 'refused',
  message: `the join token was refused (${why}); create a new one`,
});

/** The control plane's word on the token. Anything else may be of a proxy before it, and the token is as good as it was. */
function isRefusal({ status, body }: ApiAnswer): boolean {
  const { code } = (body ?? {}) as { code?: unknown };
  return (status === 401 && code === 'UNAUTHENTICATED') || (status === 409 && code === 'CONFLICT');
}

/** All in one write: no moment has the key of one join and the answer to another. */
function remember(store: IdentityStore, token: string, joined: JoinReply): Promise<Data> {
  return changeIdentity(store, (stored) => {
    if (!stored)
      throw new Error(`Secret ${IDENTITY_SECRET} was deleted during the join; restart the operator`);
    const candidate = readCandidate(stored);
    const key =
      candidate?.token === token
        ? { [FIELD.privateKey]: candidate.privateKey, [FIELD.publicKey]: candidate.publicKey }
        : {};
    const next = { ...stored, ...key, [FIELD.joined]: JSON.stringify(joined), [FIELD.token]: token };
    return without(FIELD.refused, without(FIELD.candidate, next));
  });
}

const without = (dropped: string, data: Data): Data =>
  Object.fromEntries(Object.entries(data).filter(([field]) => field !== dropped));

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
